"""A large table is read while pgbench writes it, and whoever reads it is killed again and again."""

import random
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.conftest import Database
from tests.cdc.load import assert_exactly_once
from tests.cdc.postgres_server import binaries
from tests.cdc.running import feed_of, make_topics, replayed
from tests.cdc.test_postgres_kill import settled, until, victim

pytestmark = pytest.mark.kafka

ROWS = 200_000
KILLS = 4
COLUMNS = ("aid", "bid", "abalance", "filler")


def pgbench(shop: Database, *words: str) -> "subprocess.Popen[bytes]":
    command = [str(binaries() / "pgbench"), *words, shop.server.url(shop.name)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@contextmanager
def writing(shop: Database) -> "Iterator[subprocess.Popen[bytes]]":
    """Two clients of pgbench, until it is left."""
    # It would end by itself long after.
    with pgbench(shop, "--no-vacuum", "--client=2", "--time=300", "--rate=400") as process:
        try:
            yield process
            assert process.poll() is None, process.stderr and process.stderr.read()
        finally:
            process.terminate()


def accounts(shop: Database) -> dict[str, Any]:
    found = shop.execute(f"select {', '.join(COLUMNS)} from pgbench_accounts")
    return {str({"aid": row[0]}): row for row in found}


def test_a_snapshot_of_200000_rows_is_complete_after_kills_while_pgbench_writes(
    shop: Database, kafka_brokers: str
) -> None:
    with pgbench(shop, "--initialize", "--scale=2") as made:
        assert made.wait(60) == 0
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    name = f"headrace.{prefix}"
    config = dict(
        shop.config(
            tables=["pgbench_accounts"], topic_prefix=prefix, snapshot_rows=2_000, partitions=3
        )
    )
    make_topics(feed_of(config), KafkaBroker(kafka_brokers))
    chance, clock = random.Random(3), SystemClock()
    begun = 0

    with writing(shop):
        for _ in range(KILLS):
            with victim(kafka_brokers, name, config) as lines:
                until(lines, "snapshot")
                begun += 1
                clock.sleep(chance.uniform(0.05, 0.4))
        with victim(kafka_brokers, name, config) as lines:
            until(lines, "running")
            clock.sleep(0.5)
    changes = settled(kafka_brokers, name, f"{prefix}.public.pgbench_accounts", config, shop)
    copied = {
        key: tuple(row[column] for column in COLUMNS) for key, row in replayed(changes).items()
    }

    assert begun == KILLS
    assert len(copied) == ROWS
    assert copied == accounts(shop)
    assert_exactly_once(changes)
    assert max(Counter(str(one.key) for one in changes if one.op == "r").values()) == 1
