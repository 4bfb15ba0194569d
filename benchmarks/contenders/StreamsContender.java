import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

/** Kafka Streams with one thread, exactly once: {@code StreamsContender BROKERS SOURCE TARGET GROUP RECORDS}. */
public final class StreamsContender {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final OperatingSystemMXBean SYSTEM =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final long records;
    private final CountDownLatch finished = new CountDownLatch(1);
    // Written and read by the one stream thread until `finished`.
    private long seen;
    private long begun;
    private long begunCpu;
    private long committed;
    private long committedCpu;

    private StreamsContender(long records) {
        this.records = records;
    }

    public static void main(String[] arguments) throws Exception {
        new StreamsContender(Long.parseLong(arguments[4])).run(arguments[0], arguments[1], arguments[2], arguments[3]);
    }

    private void run(String brokers, String source, String target, String group) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<byte[], byte[]>stream(source)
            .mapValues(this::parse)
            .filter((key, event) -> !event.get("kind").textValue().equals("view"))
            .mapValues(StreamsContender::withTotal)
            .to(target);
        Properties settings = settings(brokers, group);
        try (KafkaStreams streams = new KafkaStreams(builder.build(settings), settings, new Clients())) {
            streams.setUncaughtExceptionHandler(error -> {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
                return null;
            });
            streams.start();
            finished.await();
        }
        report(group);
    }

    private static Properties settings(String brokers, String group) throws IOException {
        Properties settings = new Properties();
        settings.put("application.id", group);
        settings.put("bootstrap.servers", brokers);
        settings.put("default.key.serde", Serdes.ByteArraySerde.class);
        settings.put("default.value.serde", Serdes.ByteArraySerde.class);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("num.stream.threads", 1);
        settings.put("commit.interval.ms", 100);
        settings.put("replication.factor", 1);
        settings.put("state.dir", Files.createTempDirectory(Path.of(System.getenv("TMPDIR")), "state").toString());
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", 10_000);
        settings.put("consumer.max.partition.fetch.bytes", 4 << 20);
        settings.put("producer.linger.ms", 5);
        settings.put("producer.compression.type", "lz4");
        settings.put("producer.batch.size", 1 << 18);
        return settings;
    }

    private ObjectNode parse(byte[] value) {
        if (seen++ == 0) {
            begun = System.nanoTime();
            begunCpu = SYSTEM.getProcessCpuTime();
        }
        try {
            return (ObjectNode) JSON.readTree(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static byte[] withTotal(ObjectNode event) {
        try {
            return JSON.writeValueAsBytes(event.put("total", event.get("amount").doubleValue() * 1.2));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void report(String group) throws IOException {
        double seconds = (committed - begun) / 1e9;
        double cpu = (committedCpu - begunCpu) / 1e3 / seen;
        System.out.printf(
            "{\"contender\": \"kafka-streams\", \"group\": \"%s\", \"records\": %d, \"seconds\": %.3f, "
                + "\"per_second\": %.0f, \"cpu_us\": %.3f, \"peak_mb\": %.1f}%n",
            group, seen, seconds, seen / seconds, cpu, peakMegabytes());
    }

    private static double peakMegabytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024 / 1e6;
            }
        }
        throw new IOException("/proc/self/status does not say VmHWM; the benchmarks run on Linux");
    }

    /** Kafka Streams' own clients, with a producer that notes when its last transaction was committed. */
    private final class Clients extends DefaultKafkaClientSupplier {
        @Override
        public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
            return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer()) {
                @Override
                public void commitTransaction() {
                    super.commitTransaction();
                    if (seen >= records && finished.getCount() > 0) {
                        committed = System.nanoTime();
                        committedCpu = SYSTEM.getProcessCpuTime();
                        finished.countDown();
                    }
                }
            };
        }
    }
}
