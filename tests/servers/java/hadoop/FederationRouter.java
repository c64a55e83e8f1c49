import java.io.File;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.server.federation.resolver.FederationNamenodeContext;
import org.apache.hadoop.hdfs.server.federation.resolver.FederationNamenodeServiceState;
import org.apache.hadoop.hdfs.server.federation.router.Router;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * Starts Hadoop's own Router, and in the same JVM the ZooKeeper in which routers keep their tokens. It reads the
 * configuration on the class path.
 *
 * <p>Arguments: a file to make once it serves, the port of ZooKeeper, and a folder for it.
 */
public final class FederationRouter {
    public static void main(String[] arguments) {
        try {
            serve(Path.of(arguments[0]), Integer.parseInt(arguments[1]), new File(arguments[2]));
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1); // the threads of a half-started server would keep the JVM alive
        }
    }

    private static void serve(Path ready, int port, File folder) throws Exception {
        NIOServerCnxnFactory zooKeeper = new NIOServerCnxnFactory();
        zooKeeper.configure(new InetSocketAddress("127.0.0.1", port), 100);
        zooKeeper.startup(new ZooKeeperServer(folder, folder, 2000));

        HdfsConfiguration conf = new HdfsConfiguration();
        UserGroupInformation.setConfiguration(conf);
        DefaultMetricsSystem.setMiniClusterMode(true);
        Router router = new Router();
        router.init(conf);
        router.start();
        String nameservice = conf.get("dfs.nameservices");
        while (!isActive(router.getNamenodeResolver().getNamenodesForNameserviceId(nameservice, false))) {
            Thread.sleep(50);
        }
        Files.createFile(ready);
        Thread.currentThread().join(); // until it is killed
    }

    private static boolean isActive(List<? extends FederationNamenodeContext> nameNodes) {
        return nameNodes != null
            && nameNodes.stream().anyMatch(each -> each.getState() == FederationNamenodeServiceState.ACTIVE);
    }
}
