import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

/**
 * Kafka Streams with state on RocksDB, one thread, exactly once:
 * {@code StatefulStreamsContender BROKERS SOURCE TARGET GROUP RECORDS KEPT reduce|rekey|counter|join|restore}.
 *
 * <p>It is finished when KEPT records were reduced or joined and that was committed, or when nothing has moved for five
 * seconds: what is then missing was dropped as late.
 */
public final class StatefulStreamsContender {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final OperatingSystemMXBean SYSTEM =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static final long MINUTE_MS = 60_000;
    private static final long QUIET_NS = 5_000_000_000L;
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    private final String work;
    private final long records;
    private final long kept;
    // Written by the one stream thread; the main thread reads what the volatile `committedDone` published.
    private long seen;
    private long done;
    private long begun;
    private long begunCpu;
    private long committed;
    private long committedCpu;
    private long committedSeen;
    private volatile long committedDone;

    private StatefulStreamsContender(String work, long records, long kept) {
        this.work = work;
        this.records = records;
        this.kept = kept;
    }

    public static void main(String[] arguments) throws Exception {
        new StatefulStreamsContender(arguments[6], Long.parseLong(arguments[4]), Long.parseLong(arguments[5]))
            .run(arguments[0], arguments[1], arguments[2], arguments[3]);
    }

    private void run(String brokers, String source, String target, String group) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], ObjectNode> events = builder.stream(source, Consumed.with(BYTES, BYTES))
            .mapValues(this::parse)
            .filter((key, event) -> !event.get("kind").textValue().equals("view"));
        KStream<byte[], byte[]> results = work.equals("join") ? joined(builder, events) : reduced(events);
        results.to(target, Produced.with(BYTES, BYTES));
        Properties settings = settings(brokers, group);
        if (work.equals("restore")) {
            begin();
        }
        KafkaStreams streams = new KafkaStreams(builder.build(settings), settings, new Clients());
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        awaitTheEnd();
        report(group);
        streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    }

    private KStream<byte[], byte[]> joined(StreamsBuilder builder, KStream<byte[], ObjectNode> events) {
        KTable<byte[], byte[]> users = builder.table("benchmark-users", Consumed.with(BYTES, BYTES));
        return events.join(users, this::withProfile, Joined.with(BYTES, new EventSerde(), BYTES));
    }

    private KStream<byte[], byte[]> reduced(KStream<byte[], ObjectNode> events) {
        KStream<byte[], byte[]> amounts = work.equals("rekey")
            ? events.map((key, event) -> KeyValue.pair(user(event), amount(event)))
            : events.mapValues(StatefulStreamsContender::amount);
        KGroupedStream<byte[], byte[]> users = amounts.groupByKey(Grouped.with(BYTES, BYTES));
        if (work.equals("counter") || work.equals("restore")) {
            return users.aggregate(() -> new byte[16], this::add, Materialized.with(BYTES, BYTES))
                .toStream()
                .map((user, total) -> KeyValue.pair(user, result(user, total, null)));
        }
        return users.windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMillis(MINUTE_MS)))
            .aggregate(() -> new byte[16], this::add, Materialized.with(BYTES, BYTES))
            .toStream()
            .map((window, total) -> KeyValue.pair(window.key(), result(window.key(), total, window)));
    }

    private static Properties settings(String brokers, String group) throws IOException {
        Properties settings = new Properties();
        settings.put("application.id", group);
        settings.put("bootstrap.servers", brokers);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("num.stream.threads", 1);
        settings.put("commit.interval.ms", 100);
        settings.put("replication.factor", 1);
        settings.put("topology.optimization", "all");
        settings.put("state.dir", Files.createTempDirectory(Path.of(System.getenv("TMPDIR")), "state").toString());
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", 10_000);
        settings.put("consumer.max.partition.fetch.bytes", 4 << 20);
        settings.put("producer.linger.ms", 5);
        settings.put("producer.compression.type", "lz4");
        settings.put("producer.batch.size", 1 << 18);
        return settings;
    }

    /** Returns after the commit of the last record, or when nothing has been committed for a while. */
    private void awaitTheEnd() throws InterruptedException {
        long moved = System.nanoTime();
        long before = 0;
        while (true) {
            Thread.sleep(5);
            long now = committedDone;
            if (now >= kept && committedSeen >= records) {
                return;
            }
            if (now != before) {
                before = now;
                moved = System.nanoTime();
            } else if (now > 0 && System.nanoTime() - moved > QUIET_NS) {
                return;
            }
        }
    }

    private void begin() {
        begun = System.nanoTime();
        begunCpu = SYSTEM.getProcessCpuTime();
    }

    private ObjectNode parse(byte[] value) {
        if (seen++ == 0 && begun == 0) {
            begin();
        }
        return object(value);
    }

    private byte[] withProfile(ObjectNode event, byte[] row) {
        done++;
        return bytes(event.set("profile", object(row)));
    }

    private byte[] add(byte[] user, byte[] amount, byte[] total) {
        done++;
        ByteBuffer before = ByteBuffer.wrap(total);
        return ByteBuffer.allocate(16)
            .putLong(before.getLong() + 1)
            .putDouble(before.getDouble() + ByteBuffer.wrap(amount).getDouble())
            .array();
    }

    private static byte[] user(ObjectNode event) {
        return event.get("user").textValue().getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] amount(ObjectNode event) {
        return ByteBuffer.allocate(8).putDouble(event.get("amount").doubleValue()).array();
    }

    private static byte[] result(byte[] user, byte[] total, Windowed<byte[]> window) {
        ByteBuffer read = ByteBuffer.wrap(total);
        ObjectNode result = JSON.createObjectNode().put("key", new String(user, StandardCharsets.UTF_8));
        if (window != null) {
            result.put("start", window.window().start()).put("end", window.window().end());
        }
        return bytes(result.put("n", read.getLong()).put("total", read.getDouble()));
    }

    private static ObjectNode object(byte[] value) {
        try {
            return (ObjectNode) JSON.readTree(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static byte[] bytes(Object object) {
        try {
            return JSON.writeValueAsBytes(object);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void report(String group) throws IOException {
        double seconds = (committed - begun) / 1e9;
        double cpu = (committedCpu - begunCpu) / 1e3 / committedSeen;
        System.out.printf(
            "{\"contender\": \"kafka-streams\", \"group\": \"%s\", \"records\": %d, \"seconds\": %.3f, "
                + "\"per_second\": %.0f, \"cpu_us\": %.3f, \"peak_mb\": %.1f, \"late\": %d}%n",
            group, committedSeen, seconds, committedSeen / seconds, cpu, peakMegabytes(), kept - committedDone);
    }

    private static double peakMegabytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024 / 1e6;
            }
        }
        throw new IOException("/proc/self/status does not say VmHWM; the benchmarks run on Linux");
    }

    /** Events between two operators that are never written; Kafka Streams asks for the serde all the same. */
    private static final class EventSerde extends Serdes.WrapperSerde<ObjectNode> {
        EventSerde() {
            super((topic, event) -> bytes(event), (topic, value) -> object(value));
        }
    }

    /** Kafka Streams' own clients, with a producer that notes which commit was the last with work in it. */
    private final class Clients extends DefaultKafkaClientSupplier {
        @Override
        public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
            return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer()) {
                @Override
                public void commitTransaction() {
                    super.commitTransaction();
                    if (seen > committedSeen || done > committedDone) {
                        committed = System.nanoTime();
                        committedCpu = SYSTEM.getProcessCpuTime();
                        committedSeen = seen;
                        committedDone = done;
                    }
                }
            };
        }
    }
}
