import java.io.File;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.yarn.client.ClientRMProxy;
import org.apache.hadoop.yarn.client.api.YarnClient;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.util.ConverterUtils;

/**
 * Fetches a token of the ResourceManager and writes it to a token file, under the service by which YARN's clients look it
 * up.
 *
 * <p>Arguments: the renewer and the file.
 */
public final class YarnToken {
    public static void main(String[] arguments) throws Exception {
        YarnConfiguration conf = new YarnConfiguration();
        UserGroupInformation.setConfiguration(conf);
        Text service = ClientRMProxy.getRMDelegationTokenService(conf);
        Credentials credentials = new Credentials();
        try (YarnClient client = YarnClient.createYarnClient()) {
            client.init(conf);
            client.start();
            Token<TokenIdentifier> token =
                ConverterUtils.convertFromYarn(client.getRMDelegationToken(new Text(arguments[0])), service);
            credentials.addToken(service, token);
        }
        credentials.writeTokenStorageFile(new Path(new File(arguments[1]).toURI()), conf);
    }
}
