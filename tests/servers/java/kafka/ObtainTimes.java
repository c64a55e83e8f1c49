import java.io.FileReader;
import java.io.Reader;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.errors.DelegationTokenNotFoundException;

/**
 * Obtains tokens of Kafka, each with a client of its own, renews each once, and prints how long that took in nanoseconds.
 *
 * <p>Arguments: a file with the client's properties, how many are timed, and how many come before those.
 */
public final class ObtainTimes {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (Reader file = new FileReader(arguments[0])) {
            properties.load(file);
        }
        int timed = Integer.parseInt(arguments[1]);
        int before = Integer.parseInt(arguments[2]);
        // A login lasts as long as a client has it: this one keeps it.
        try (Admin first = Admin.create(properties)) {
            first.describeCluster().nodes().get();
            for (int round = 0; round < before + timed; round++) {
                long begun = System.nanoTime();
                obtain(properties);
                if (round >= before) {
                    System.out.println(System.nanoTime() - begun);
                }
            }
        }
    }

    private static void obtain(Properties properties) throws Exception {
        try (Admin client = Admin.create(properties)) {
            byte[] hmac = client.createDelegationToken().delegationToken().get().hmac();
            while (true) {
                try {
                    client.renewDelegationToken(hmac).expiryTimestamp().get();
                    return;
                } catch (ExecutionException unknown) {
                    // The broker learns of its token a moment later.
                    if (!(unknown.getCause() instanceof DelegationTokenNotFoundException)) {
                        throw unknown;
                    }
                    Thread.sleep(100);
                }
            }
        }
    }
}
