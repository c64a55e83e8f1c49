import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.Admin;
import org.apache.hadoop.hbase.client.ColumnFamilyDescriptorBuilder;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.Get;
import org.apache.hadoop.hbase.client.Put;
import org.apache.hadoop.hbase.client.Table;
import org.apache.hadoop.hbase.client.TableDescriptorBuilder;
import org.apache.hadoop.hbase.security.token.AuthenticationTokenIdentifier;
import org.apache.hadoop.hbase.security.token.ClientTokenUtil;
import org.apache.hadoop.hbase.util.Bytes;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;

/**
 * Uses HBase's own client, with the configuration on the class path and what the user's login gives: a ticket, or the
 * token file that HADOOP_TOKEN_FILE_LOCATION names.
 *
 * <p>Arguments: "create TABLE"; "put TABLE ROW VALUE"; "get TABLE ROW"; "token FILE", which fetches a token and writes
 * it to a token file; or "times TIMED BEFORE", which prints how many nanoseconds it takes to obtain a token, each with a
 * connection of its own.
 */
public final class HBaseTable {
    private static final byte[] FAMILY = Bytes.toBytes("family");
    private static final byte[] COLUMN = Bytes.toBytes("column");

    public static void main(String[] arguments) throws Exception {
        Configuration conf = HBaseConfiguration.create();
        UserGroupInformation.setConfiguration(conf);
        if (arguments[0].equals("times")) {
            times(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]), conf);
            return;
        }
        try (Connection connection = ConnectionFactory.createConnection(conf)) {
            switch (arguments[0]) {
                case "create" -> create(connection, arguments[1]);
                case "put" -> put(connection, arguments[1], arguments[2], arguments[3]);
                case "get" -> System.out.println(get(connection, arguments[1], arguments[2]));
                case "token" -> token(connection, new File(arguments[1]));
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        }
    }

    private static void times(int timed, int before, Configuration conf) throws Exception {
        for (int round = 0; round < before + timed; round++) {
            long begun = System.nanoTime();
            try (Connection connection = ConnectionFactory.createConnection(conf)) {
                ClientTokenUtil.obtainToken(connection);
            }
            if (round >= before) {
                System.out.println(System.nanoTime() - begun);
            }
        }
    }

    private static void create(Connection connection, String table) throws Exception {
        TableDescriptorBuilder description = TableDescriptorBuilder.newBuilder(TableName.valueOf(table));
        description.setColumnFamily(ColumnFamilyDescriptorBuilder.of(FAMILY));
        try (Admin admin = connection.getAdmin()) {
            admin.createTable(description.build());
        }
    }

    private static void put(Connection connection, String table, String row, String value) throws Exception {
        try (Table open = connection.getTable(TableName.valueOf(table))) {
            open.put(new Put(Bytes.toBytes(row)).addColumn(FAMILY, COLUMN, Bytes.toBytes(value)));
        }
    }

    private static String get(Connection connection, String table, String row) throws Exception {
        try (Table open = connection.getTable(TableName.valueOf(table))) {
            return Bytes.toString(open.get(new Get(Bytes.toBytes(row))).value());
        }
    }

    private static void token(Connection connection, File file) throws Exception {
        Token<AuthenticationTokenIdentifier> token = ClientTokenUtil.obtainToken(connection);
        Credentials credentials = new Credentials();
        credentials.addToken(token.getService(), token);
        credentials.writeTokenStorageFile(new Path(file.toURI()), connection.getConfiguration());
    }
}
