import java.util.Arrays;
import kafka.tools.StorageTool;

/**
 * Formats the storage of Kafka's own broker, unless that was done before, and starts the broker in the same JVM.
 *
 * <p>Arguments: the file with its properties, and what the formatting needs besides it.
 */
public final class Broker {
    public static void main(String[] arguments) {
        String properties = arguments[0];
        String[] format = {"format", "--ignore-formatted", "--config", properties};
        String[] users = Arrays.copyOfRange(arguments, 1, arguments.length);
        String[] all = Arrays.copyOf(format, format.length + users.length);
        System.arraycopy(users, 0, all, format.length, users.length);
        if (StorageTool.execute(all, System.out) != 0) {
            System.exit(1);
        }
        kafka.Kafka.main(new String[] {properties});
    }
}
