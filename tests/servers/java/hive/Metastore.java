import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hive.metastore.HiveMetaStoreClient;
import org.apache.hadoop.hive.metastore.conf.MetastoreConf;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;

/**
 * Uses the metastore's own client, with the configuration on the class path and what the user's login gives: a ticket, or
 * the token file that HADOOP_TOKEN_FILE_LOCATION names.
 *
 * <p>Arguments: "databases", or "token OWNER RENEWER SERVICE FILE", which fetches a token and writes it to a token file
 * for that service.
 */
public final class Metastore {
    public static void main(String[] arguments) throws Exception {
        Configuration conf = MetastoreConf.newMetastoreConf();
        UserGroupInformation.setConfiguration(conf);
        HiveMetaStoreClient client = new HiveMetaStoreClient(conf);
        try {
            switch (arguments[0]) {
                case "databases" -> client.getAllDatabases().forEach(System.out::println);
                case "token" -> {
                    String token = client.getDelegationToken(arguments[1], arguments[2]);
                    write(token, arguments[3], new File(arguments[4]), conf);
                }
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } finally {
            client.close();
        }
    }

    private static void write(String encoded, String service, File file, Configuration conf) throws Exception {
        Token<TokenIdentifier> token = new Token<>();
        token.decodeFromUrlString(encoded);
        token.setService(new Text(service));
        Credentials credentials = new Credentials();
        credentials.addToken(new Text(service), token);
        credentials.writeTokenStorageFile(new Path(file.toURI()), conf);
    }
}
