import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;

/**
 * Obtains tokens of HDFS, each over a connection of its own, renews each once, and prints how long that took in nanoseconds.
 *
 * <p>Arguments: the renewer, how many are timed, and how many come before those.
 */
public final class ObtainTimes {
    public static void main(String[] arguments) throws Exception {
        Configuration conf = new HdfsConfiguration();
        UserGroupInformation.setConfiguration(conf);
        int timed = Integer.parseInt(arguments[1]);
        int before = Integer.parseInt(arguments[2]);
        for (int round = 0; round < before + timed; round++) {
            long begun = System.nanoTime();
            // The last one that is closed closes the connection.
            try (FileSystem files = FileSystem.newInstance(conf)) {
                Token<?> token = files.getDelegationToken(arguments[0]);
                token.renew(conf);
            }
            if (round >= before) {
                System.out.println(System.nanoTime() - begun);
            }
        }
    }
}
