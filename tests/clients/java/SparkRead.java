import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/** Reads an object of a bucket again and again in jobs of one Spark application, until a file is there. */
public final class SparkRead {
    private SparkRead() {}

    public static void main(String[] arguments) throws Exception {
        Path until = Path.of(System.getenv("UNTIL"));
        String object = "s3a://bucket/" + System.getenv("OBJECT");
        SparkConf conf = new SparkConf().setMaster("local[1]").setAppName("read");
        conf.set("spark.ui.enabled", "false").set("spark.driver.host", "127.0.0.1");
        // As spark-submit reads its spark-defaults.conf.
        for (String line : Files.readAllLines(Path.of("spark-defaults.conf"))) {
            String[] words = line.trim().split("\\s+", 2);
            if (words.length == 2) {
                conf.set(words[0], words[1]);
            }
        }
        try (JavaSparkContext spark = new JavaSparkContext(conf)) {
            while (!Files.exists(until)) {
                spark.textFile(object, 1).count();
                Thread.sleep(1000);
            }
        }
    }
}
