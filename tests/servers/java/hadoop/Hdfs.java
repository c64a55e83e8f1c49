import java.io.File;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivilegedExceptionAction;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.ha.HAServiceProtocol.RequestSource;
import org.apache.hadoop.ha.HAServiceProtocol.StateChangeRequestInfo;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.server.datanode.DataNode;
import org.apache.hadoop.hdfs.server.namenode.NameNode;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Starts Hadoop's own NameNode, and its DataNode in the same JVM, which takes half of the time and memory of two. Both
 * read the configuration on the class path.
 *
 * <p>Arguments: a file to make once all of them serve; the id of the NameNode, or "-" if it is the only one; and
 * "datanode", if one is wanted.
 *
 * <p>A new file system is formatted first: the name directories of all NameNodes at once, which "test.name.dirs" lists,
 * by the NameNode that owns the first of them. This one then is the active one, and makes the folder /open.
 */
public final class Hdfs {
    private final HdfsConfiguration conf;
    private final boolean isAlone;

    private Hdfs(String id) {
        conf = new HdfsConfiguration();
        isAlone = id.equals("-");
        if (!isAlone) {
            conf.set("dfs.ha.namenode.id", id);
            String own = "dfs.namenode.name.dir." + conf.get("dfs.nameservices") + "." + id;
            conf.set("dfs.namenode.name.dir", conf.get(own));
            conf.unset(own);
        }
    }

    public static void main(String[] arguments) {
        try {
            new Hdfs(arguments[1]).serve(Path.of(arguments[0]), arguments.length > 2);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1); // the threads of a half-started server would keep the JVM alive
        }
    }

    private void serve(Path ready, boolean withDataNode) throws Exception {
        DefaultMetricsSystem.setMiniClusterMode(true); // both servers register the same names
        UserGroupInformation.setConfiguration(conf);
        boolean isNew = format();
        NameNode nameNode = NameNode.createNameNode(new String[0], conf);
        if (withDataNode) {
            DataNode.createDataNode(new String[0], conf);
        }
        if (isNew) {
            UserGroupInformation.getLoginUser().doAs((PrivilegedExceptionAction<Void>) () -> begin(nameNode));
        }
        while (nameNode.isInSafeMode() || nameNode.getNamesystem().getNumLiveDataNodes() == 0) {
            Thread.sleep(20);
        }
        Files.createFile(ready);
        nameNode.join();
    }

    /** Makes sure that there is a name directory. Says whether this NameNode made all of them just now. */
    private boolean format() throws Exception {
        String own = conf.get("dfs.namenode.name.dir");
        String[] all = conf.getStrings("test.name.dirs", own);
        File version = new File(URI.create(own).getPath(), "current/VERSION");
        if (version.exists()) {
            return false;
        }
        if (own.equals(all[0])) {
            conf.set("dfs.namenode.name.dir", String.join(",", all));
            NameNode.format(conf);
            conf.set("dfs.namenode.name.dir", own);
            return true;
        }
        while (!version.exists()) {
            Thread.sleep(20);
        }
        return false;
    }

    private Void begin(NameNode nameNode) throws Exception {
        if (!isAlone) {
            nameNode.getRpcServer().transitionToActive(new StateChangeRequestInfo(RequestSource.REQUEST_BY_USER));
        }
        while (nameNode.isInSafeMode()) {
            Thread.sleep(20);
        }
        nameNode.getRpcServer().mkdirs("/open", new FsPermission((short) 01777), true);
        return null;
    }
}
