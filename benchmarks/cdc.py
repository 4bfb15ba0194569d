"""`python -m benchmarks.cdc`: a table of PostgreSQL into Kafka, exactly once, with everything on this machine.

A table of 200,000 rows is read, then 100,000 rows are inserted in one transaction, then as many in transactions of 100
rows. The clock of a part stops when the slot was confirmed, thus when the last row was committed to Kafka. Prints figures,
never a verdict.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psycopg

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings
from tests.cdc.postgres_server import PostgresServer
from tests.cdc.running import feed_of, make_topics

TABLE = """
create table orders (id bigserial primary key, customer text, amount numeric(10, 2), ts timestamptz default now(),
  status text, payload jsonb)
"""
ROWS = """
insert into orders (customer, amount, status, payload)
select 'customer ' || i, mod(i, 10000) / 7.0, 'paid', jsonb_build_object('n', i, 'tags', '["a", "b"]'::jsonb)
from generate_series(1, %s) i
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cdc", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the snapshot")
    parser.add_argument("--changes", type=int, default=100_000, help="rows that are inserted")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--config", type=json.loads, default={}, help="more of the config, as JSON")
    given = parser.parse_args(arguments)
    postgres = PostgresServer({"synchronous_commit": "off"})
    try:
        postgres.start()
        postgres.execute("postgres", TABLE, ROWS.replace("%s", str(given.rows)), "analyze orders")
        with LocalKafka(LocalKafkaSettings()) as kafka:
            run(postgres, kafka.brokers, given)
    finally:
        postgres.remove()
    return 0


def run(postgres: PostgresServer, brokers: str, given: argparse.Namespace) -> None:
    """Capture in a process of its own, and measure each part."""
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    config = {
        "url": postgres.url("postgres"),
        "tables": ["orders"],
        "topic_prefix": prefix,
        "partitions": given.partitions,
        **given.config,
    }
    make_topics(feed_of(config), KafkaBroker(brokers))
    command = [sys.executable, "-m", "tests.cdc.victim", brokers, prefix, json.dumps(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            begun = processor_s(process.pid)
            snapshot(process.stdout, given.rows)
            with postgres.connect() as client:
                stream(client, prefix, given.changes, "one transaction", given.changes)
                stream(client, prefix, given.changes, "100 rows each", 100)
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            used_us = (processor_s(process.pid) - begun) / (given.rows + 2 * given.changes) * 1e6
            print(
                f"capture: {used_us:.1f} us of processor time a row, {int(peak) / 1024:.0f} MB at most"
            )
        finally:
            process.kill()


def snapshot(lines: "IO[str]", rows: int) -> None:
    """From the connection to the database until the last row is committed."""
    begun_s = 0.0
    for line in lines:
        begun_s = begun_s or time.monotonic()
        if line.startswith("running"):
            break
    tell("snapshot", rows, time.monotonic() - begun_s)


def stream(
    client: "psycopg.Connection[Any]", slot: str, changes: int, name: str, size: int
) -> None:
    """From the first insert until everything is confirmed."""
    begun_s = time.monotonic()
    for _ in range(0, changes, size):
        client.execute(ROWS, [size])
    inserted_s = time.monotonic() - begun_s
    end = value(client, "select pg_current_wal_insert_lsn()::text")
    sql = "select confirmed_flush_lsn >= %s::pg_lsn from pg_replication_slots where slot_name = %s"
    while not value(client, sql, [end, slot.replace("-", "_")]):
        time.sleep(0.01)
    took_s = time.monotonic() - begun_s
    tell(f"stream, {name}", changes, took_s, {"inserts alone": f"{inserted_s:.2f} s"})


def processor_s(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def value(client: "psycopg.Connection[Any]", sql: str, values: Sequence[Any] = ()) -> Any:
    """The only value of a query."""
    row = client.execute(sql, values or None).fetchone()
    assert row is not None
    return row[0]


def tell(name: str, rows: int, took_s: float, more: Mapping[str, str] | None = None) -> None:
    """Print a figure."""
    notes = "".join(f", {what} {figure}" for what, figure in (more or {}).items())
    print(f"{name}: {rows / took_s:,.0f} rows/s ({rows:,} in {took_s:.2f} s{notes})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
