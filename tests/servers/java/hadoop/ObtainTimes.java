import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.crypto.key.KeyProvider;
import org.apache.hadoop.crypto.key.KeyProviderDelegationTokenExtension.DelegationTokenExtension;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.util.KMSUtil;
import org.apache.hadoop.yarn.client.ClientRMProxy;
import org.apache.hadoop.yarn.client.api.YarnClient;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.util.ConverterUtils;

/**
 * Obtains tokens, each with a client of its own, renews each once, and prints how long that took in nanoseconds.
 *
 * <p>Arguments: "files URI" for a file system, "keys URI" for a KMS, or "applications -" for YARN; how many are timed, and
 * how many come before those.
 */
public final class ObtainTimes {
    public static void main(String[] arguments) throws Exception {
        String kind = arguments[0];
        String uri = arguments[1];
        int timed = Integer.parseInt(arguments[2]);
        int before = Integer.parseInt(arguments[3]);
        Configuration conf = kind.equals("applications") ? new YarnConfiguration() : new HdfsConfiguration();
        UserGroupInformation.setConfiguration(conf);
        String renewer = UserGroupInformation.getLoginUser().getShortUserName();
        for (int round = 0; round < before + timed; round++) {
            long begun = System.nanoTime();
            switch (kind) {
                case "files" -> files(URI.create(uri), renewer, conf);
                case "keys" -> keys(URI.create(uri), renewer, conf);
                case "applications" -> applications(renewer, conf);
                default -> throw new IllegalArgumentException(kind);
            }
            if (round >= before) {
                System.out.println(System.nanoTime() - begun);
            }
        }
    }

    private static void files(URI uri, String renewer, Configuration conf) throws Exception {
        // The last one that is closed closes the connection.
        try (FileSystem files = FileSystem.newInstance(uri, conf)) {
            files.getDelegationToken(renewer).renew(conf);
        }
    }

    private static void keys(URI uri, String renewer, Configuration conf) throws Exception {
        KeyProvider keys = KMSUtil.createKeyProviderFromUri(conf, uri);
        try {
            ((DelegationTokenExtension) keys).getDelegationToken(renewer).renew(conf);
        } finally {
            keys.close();
        }
    }

    private static void applications(String renewer, Configuration conf) throws Exception {
        try (YarnClient client = YarnClient.createYarnClient()) {
            client.init(conf);
            client.start();
            Text service = ClientRMProxy.getRMDelegationTokenService(conf);
            Token<?> token = ConverterUtils.convertFromYarn(client.getRMDelegationToken(new Text(renewer)), service);
            token.renew(conf);
        }
    }
}
