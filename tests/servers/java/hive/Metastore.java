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
 * <p>Arguments: "databases"; or "token OWNER RENEWER SERVICE FILE", which fetches a token and writes it to a token file
 * for that service; or "times OWNER TIMED BEFORE", which prints how many nanoseconds it takes to obtain and renew a token,
 * each with a client of its own.
 */
public final class Metastore {
    public static void main(String[] arguments) throws Exception {
        Configuration conf = MetastoreConf.newMetastoreConf();
        UserGroupInformation.setConfiguration(conf);
        if (arguments[0].equals("times")) {
            times(arguments[1], Integer.parseInt(arguments[2]), Integer.parseInt(arguments[3]), conf);
            return;
        }
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

    private static void times(String owner, int timed, int before, Configuration conf) throws Exception {
        for (int round = 0; round < before + timed; round++) {
            long begun = System.nanoTime();
            HiveMetaStoreClient client = new HiveMetaStoreClient(conf);
            try {
                client.renewDelegationToken(client.getDelegationToken(owner, owner));
            } finally {
                client.close();
            }
            if (round >= before) {
                System.out.println(System.nanoTime() - begun);
            }
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
