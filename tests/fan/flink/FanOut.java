import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.security.token.DelegationTokenProvider;
import org.apache.flink.core.security.token.DelegationTokenReceiver;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.minicluster.RpcServiceSharing;

/**
 * How long Flink takes from a provider's return until the receivers of all task managers have the tokens. They are in
 * one JVM, and each has an RPC service of its own, so that tokens go over TCP. Says the medians in one line of JSON.
 */
public final class FanOut {
    private static final int MEASURED = 50;

    /** No run takes longer, unless it is broken. */
    private static final int PATIENCE_S = 300;

    private static final Map<String, String> OPTIONS = Map.of(
            "rest.port", "0",
            // Each task manager takes all of this from the start, and no job is to run.
            "taskmanager.memory.network.min", "2m",
            "taskmanager.memory.network.max", "2m",
            "security.delegation.token.provider.hadoopfs.enabled", "false",
            "security.delegation.token.provider.hbase.enabled", "false",
            // Of the hour that tokens are good for: the next are obtained 11 ms after the last have come to all.
            "security.delegation.tokens.renewal.time-ratio", "0.000003",
            // An update fails while a task manager registers, and Flink would wait for an hour.
            "security.delegation.tokens.renewal.retry.backoff", "100ms");

    private static final List<Rotation> ROTATIONS = new CopyOnWriteArrayList<>();
    private static volatile int payloadBytes;

    /** When tokens were obtained, and after how many nanoseconds each receiver had them. */
    private record Rotation(long begun, List<Long> received) {
        synchronized void note(long now) {
            received.add(now - begun);
        }

        /** Without the job manager's own receiver, which has the tokens before any is sent. */
        synchronized List<Long> ofTaskManagers() {
            return received.stream().sorted().skip(1).toList();
        }
    }

    /** What provider and receiver have in common. */
    private abstract static class Service {
        public String serviceName() {
            return "fan-out";
        }

        public void init(Configuration configuration) {}
    }

    /** Returns the number of the rotation. */
    public static final class Provider extends Service implements DelegationTokenProvider {
        @Override
        public boolean delegationTokensRequired() {
            return true;
        }

        @Override
        public ObtainedDelegationTokens obtainDelegationTokens() {
            byte[] payload = new byte[payloadBytes];
            long validUntil = System.currentTimeMillis() + TimeUnit.HOURS.toMillis(1);
            // Flink obtains again only when that is done.
            ByteBuffer.wrap(payload).putInt(ROTATIONS.size());
            ROTATIONS.add(new Rotation(System.nanoTime(), new ArrayList<>()));
            return new ObtainedDelegationTokens(payload, Optional.of(validUntil));
        }
    }

    /** Notes when it came. */
    public static final class Receiver extends Service implements DelegationTokenReceiver {
        @Override
        public void onNewTokensObtained(byte[] payload) {
            long now = System.nanoTime();
            ROTATIONS.get(ByteBuffer.wrap(payload).getInt()).note(now);
        }
    }

    public static void main(String[] arguments) {
        CompletableFuture.delayedExecutor(PATIENCE_S, TimeUnit.SECONDS)
                .execute(() -> fail(new IllegalStateException("not done in time, in rotation " + ROTATIONS.size())));
        payloadBytes = Integer.parseInt(arguments[1]);
        try {
            List<List<Long>> measured = measure(Integer.parseInt(arguments[0]));
            System.out.printf(Locale.ROOT, "{\"half_ms\": %.4f, \"most_ms\": %.4f, \"all_ms\": %.4f}%n",
                    median(measured, 0.5), median(measured, 0.99), median(measured, 1));
            Runtime.getRuntime().halt(0);
        } catch (Throwable error) {
            fail(error);
        }
    }

    private static List<List<Long>> measure(int taskManagers) throws Exception {
        new MiniCluster(new MiniClusterConfiguration.Builder()
                .setConfiguration(Configuration.fromMap(OPTIONS))
                .setNumTaskManagers(taskManagers)
                .setRpcServiceSharing(RpcServiceSharing.DEDICATED)
                .build()).start();
        // The last that began may not have ended.
        while (ROTATIONS.size() < 2 || ROTATIONS.get(ROTATIONS.size() - 2).ofTaskManagers().size() < taskManagers) {
            Thread.sleep(10);
        }
        int first = ROTATIONS.size() + warmUp(taskManagers);
        while (ROTATIONS.size() <= first + MEASURED) {
            Thread.sleep(10);
        }
        List<List<Long>> measured = new ArrayList<>();
        for (int number = first; number < first + MEASURED; number++) {
            measured.add(ROTATIONS.get(number).ofTaskManagers());
        }
        if (measured.stream().anyMatch(received -> received.size() != taskManagers)) {
            throw new IllegalStateException("tokens did not come to every task manager once");
        }
        return measured;
    }

    /** How many rotations the JVM takes to compile what matters: the more task managers, the fewer. */
    private static int warmUp(int taskManagers) {
        return Math.min(500, 20_000 / taskManagers);
    }

    /** Ends the threads of Flink, too. */
    private static void fail(Throwable why) {
        why.printStackTrace();
        Runtime.getRuntime().halt(1);
    }

    /** Until this number of task managers had them, in milliseconds. */
    private static double median(List<List<Long>> rotations, double share) {
        int rank = (int) Math.ceil(rotations.get(0).size() * share) - 1;
        List<Long> times = rotations.stream().map(rotation -> rotation.get(rank)).sorted().toList();
        return times.get(times.size() / 2) / 1e6;
    }
}
