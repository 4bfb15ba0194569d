"""`python -m benchmarks.cdc`: a table of PostgreSQL into Kafka, exactly once, with everything on this machine.

A table of 200,000 rows is read, then 100,000 rows are inserted in one transaction, then as many in transactions of 100
rows. The clock of a part stops when a reader of committed records has the last row. headrace's own engine and Debezium's
connector in Kafka Connect take turns, on the same rows. Prints figures and ratios, never a verdict.
"""

import argparse
import json
import os
import statistics
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from psycopg import sql

from benchmarks.cdc_contenders.captures import Debezium, Headrace, Work
from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings
from headrace.runtime.contracts.broker import Reader, TopicPartition
from tests.cdc.connect_server import ConnectServer
from tests.cdc.postgres_server import PostgresServer

TABLE = """
create table orders (id bigserial primary key, customer text, amount numeric(10, 2), ts timestamptz default now(),
  status text, payload jsonb)
"""
ROWS = """
insert into orders (customer, amount, status, payload)
select 'customer ' || i, mod(i, 10000) / 7.0, 'paid', jsonb_build_object('n', i, 'tags', '["a", "b"]'::jsonb)
from generate_series(1, %s) i
"""
WAIT_S = 600.0
Figures = dict[str, float]
"""Per part rows/s, and of the whole `us` of processor time a row and `mb` of memory."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cdc", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the snapshot")
    parser.add_argument("--changes", type=int, default=100_000, help="rows that are inserted")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="each contender once in each")
    parser.add_argument(
        "--contenders", type=lambda text: text.split(","), default=["headrace", "debezium"]
    )
    parser.add_argument(
        "--config", type=json.loads, default={}, help="more of headrace's config, as JSON"
    )
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        postgres = PostgresServer({"synchronous_commit": "off"})
        stack.callback(postgres.remove)
        postgres.start()
        postgres.execute("postgres", TABLE)
        kafka = stack.enter_context(LocalKafka(LocalKafkaSettings()))
        contenders: list[Headrace | Debezium] = []
        if "headrace" in given.contenders:
            contenders.append(Headrace())
        if "debezium" in given.contenders:
            contenders.append(Debezium(stack.enter_context(ConnectServer(kafka.brokers, "1g"))))
        found: dict[str, list[Figures]] = defaultdict(list)
        for number in range(given.rounds):
            for contender in contenders if number % 2 == 0 else contenders[::-1]:
                prefix = f"cdc-{uuid.uuid4().hex[:8]}"
                work = Work(
                    postgres=postgres,
                    brokers=kafka.brokers,
                    prefix=prefix,
                    partitions=given.partitions,
                    more=given.config,
                )
                figures = measured(contender, work, given.rows, given.changes)
                found[contender.name].append(figures)
                tell(f"round {number + 1}, {contender.name}", figures)
    report(found)
    return 0


def measured(contender: Headrace | Debezium, work: Work, rows: int, changes: int) -> Figures:
    """One run of one contender, on a table that is as it was for the others."""
    figures: Figures = {}
    work.make_topics()
    with work.postgres.connect() as client, committed(work) as topic:
        for statement in ("truncate orders restart identity", ROWS.replace("%s", str(rows))):
            client.execute(statement)
        for statement in ("vacuum analyze orders", "checkpoint"):
            client.execute(statement)
        with contender.capturing(work) as process:
            begun = processor_s(process)
            figures["snapshot"] = rows / topic.until(rows)
            for name, size in (("one transaction", changes), ("100 rows each", 100)):
                client.execute(ROWS, [1])  # so that it streams when the clock begins
                topic.until(1)
                begun_s = time.monotonic()
                for _ in range(0, changes, size):
                    client.execute(ROWS, [size])
                topic.until(changes)
                figures[name] = changes / (time.monotonic() - begun_s)
            used_s = processor_s(process) - begun
            figures["us"] = used_s / (rows + 2 * changes) * 1e6
            figures["mb"] = peak_mb(process)
    drop(work)
    return figures


class Committed:
    """The committed records of a topic, counted as they come."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0

    def until(self, count: int) -> float:
        """Wait for so many more; the time that it took."""
        begun_s = time.monotonic()
        self._left += count
        while self._left > 0:
            self._left -= len(self._reader.read(10_000, 0.05))
            if time.monotonic() - begun_s > WAIT_S:
                raise TimeoutError(f"{self._left:,} of {count:,} rows did not come")
        return time.monotonic() - begun_s


@contextmanager
def committed(work: Work) -> Iterator[Committed]:
    """The reader of one run, which costs every contender the same."""
    reader = KafkaBroker(work.brokers).reader("benchmark", {})
    try:
        reader.assign({TopicPartition(work.topic, one): 0 for one in range(work.partitions)})
        yield Committed(reader)
    finally:
        reader.close()


def drop(work: Work) -> None:
    """Remove slot and publication, once the contender has let go of them."""
    busy = f"select active_pid from pg_replication_slots where slot_name = '{work.slot}' and active"
    with work.postgres.connect() as client:
        while row := client.execute(busy).fetchone():
            client.execute("select pg_terminate_backend(%s)", row)
            time.sleep(0.1)
        client.execute("select pg_drop_replication_slot(%s)", [work.slot])
        client.execute(sql.SQL("drop publication {}").format(sql.Identifier(work.slot)))


def processor_s(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(process: int) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process}/status").read_text()
    return (
        next(int(one.split()[1]) for one in status.splitlines() if one.startswith("VmHWM")) / 1024
    )


def tell(name: str, figures: Figures) -> None:
    """Print the figures of one run, or the medians of several."""
    parts = [
        f"{part} {rate:,.0f} rows/s" for part, rate in figures.items() if part not in ("us", "mb")
    ]
    cost = f"{figures['us']:.1f} us of processor time a row, {figures['mb']:.0f} MB at most"
    print(f"{name}: {', '.join(parts)}, {cost}", flush=True)


def report(found: Mapping[str, Sequence[Figures]]) -> None:
    """Print the medians, and the ratios round by round."""
    for name, rounds in found.items():
        tell(
            f"median, {name}",
            {part: statistics.median(one[part] for one in rounds) for part in rounds[0]},
        )
    if len(found) == 2:
        pairs = list(zip(found["headrace"], found["debezium"], strict=True))
        for part in pairs[0][0]:
            ratios = [own[part] / theirs[part] for own, theirs in pairs]
            print(
                f"headrace / debezium, {part}: {statistics.median(ratios):.2f}"
                f" ({min(ratios):.2f} to {max(ratios):.2f} over {len(ratios)} rounds)"
            )


if __name__ == "__main__":
    sys.exit(main())
