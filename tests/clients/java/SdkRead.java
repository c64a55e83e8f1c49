import java.nio.file.Files;
import java.nio.file.Path;
import software.amazon.awssdk.services.s3.S3Client;

/** Reads an object of a bucket again and again with AWS's SDK for Java, until a file is there. */
public final class SdkRead {
    private SdkRead() {}

    public static void main(String[] arguments) throws Exception {
        Path until = Path.of(System.getenv("UNTIL"));
        String object = System.getenv("OBJECT");
        try (S3Client s3 = S3Client.builder().forcePathStyle(true).build()) {
            while (!Files.exists(until)) {
                s3.getObjectAsBytes(request -> request.bucket("bucket").key(object));
                Thread.sleep(1000);
            }
        }
    }
}
