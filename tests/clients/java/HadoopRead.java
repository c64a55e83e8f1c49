import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;

/** Reads an object of a bucket again and again with Hadoop's S3A, until a file is there. Its core-site.xml is on the class path. */
public final class HadoopRead {
    private HadoopRead() {}

    public static void main(String[] arguments) throws Exception {
        Path until = Path.of(System.getenv("UNTIL"));
        org.apache.hadoop.fs.Path object = new org.apache.hadoop.fs.Path("s3a://bucket/" + System.getenv("OBJECT"));
        try (FileSystem s3 = FileSystem.get(object.toUri(), new Configuration())) {
            while (!Files.exists(until)) {
                try (FSDataInputStream content = s3.open(object)) {
                    content.readAllBytes();
                }
                Thread.sleep(1000);
            }
        }
    }
}
