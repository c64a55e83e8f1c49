import java.io.File;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Fetches all tokens that a file system needs, with the one of the KMS that has its keys, and writes them to a token
 * file: what Hadoop's jobs do before they start.
 *
 * <p>Arguments: the renewer, the file, and the file system's URI.
 */
public final class Tokens {
    public static void main(String[] arguments) throws Exception {
        Configuration conf = new HdfsConfiguration();
        UserGroupInformation.setConfiguration(conf);
        Credentials credentials = new Credentials();
        try (FileSystem files = FileSystem.get(URI.create(arguments[2]), conf)) {
            files.addDelegationTokens(arguments[0], credentials);
        }
        credentials.writeTokenStorageFile(new Path(new File(arguments[1]).toURI()), conf);
    }
}
