"""Settings of librdkafka that headrace, the hand-written loop and Quix Streams share, so that none wins by tuning.

They are what `headrace/connectors/kafka/consumer.py` and `kafka/producer.py` set; `benchmarks/fairness.py` compares them.
"""

CONSUMER: dict[str, str | int | bool] = {
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 400_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.message.max.bytes": 4 << 20,
    "fetch.wait.max.ms": 100,
    "isolation.level": "read_committed",
}
PRODUCER: dict[str, str | int | bool] = {
    "linger.ms": 5,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 262_144,
    "batch.size": 1_000_000,
}
COMMIT_INTERVAL_S = 0.1
