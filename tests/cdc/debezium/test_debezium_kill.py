"""The embedded engine on a real broker: worker and engine are killed at any moment, and no change is lost or comes twice."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.cdc.debezium import feed as feed_module
from headrace.connectors.cdc.debezium.feed import DebeziumFeed
from headrace.connectors.cdc.debezium.process import EngineProcess
from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.feed import FeedStatus
from tests.cdc.conftest import Database
from tests.cdc.debezium.exactly_once import assert_once_and_in_order
from tests.cdc.load import TABLE, Load, as_rows, table
from tests.cdc.places import config_of, run
from tests.cdc.running import read_changes, replayed

pytestmark = pytest.mark.kafka

WAIT_S = 90.0
COPIED = 10_000
FLOW = """
name: {name}
stages:
  - name: changes
    action: cdc
    config:
      url: {url}
      tables: [orders]
      engine: debezium
      topic_prefix: {name}
      partitions: 3
      batch_rows: {batch_rows}
      heartbeat: 500ms
    out: log
  - {{name: log, action: filter, config: {{where: 'false'}}}}
"""


@contextmanager
def worker(folder: Path, brokers: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`headrace run`, killed in the end."""
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(folder / "state"),
        "HEADRACE_BROKERS": brokers,
        "HEADRACE_SESSION_TIMEOUT": "6s",
    }
    command = [sys.executable, "-m", "headrace", "run", "flow.yaml", "--log-level", "warning"]
    with subprocess.Popen(command, cwd=folder, env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def engine_of(process: int) -> int | None:
    """The process of the engine that a worker has started."""
    for folder in Path(f"/proc/{process}/task").iterdir():
        for child in (folder / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"headrace.connectors.cdc.debezium.child" in words:
                return int(child)
    return None


class SlowLoad(Load):
    """As much as the engine can follow, so that it is killed among changes and not behind them."""

    def _write(self) -> None:
        super()._write()
        self._stopped.wait(0.3)


class Capture:
    """What a capture has written, asked for again and again."""

    def __init__(self, shop: Database, brokers: str) -> None:
        self.shop = shop
        self.broker = KafkaBroker(brokers)
        self.topic = f"{shop.name}.public.orders"
        self.clock = SystemClock()

    def until(self, found: Any, what: str) -> Any:
        deadline_s = self.clock.monotonic_s() + WAIT_S
        while not (it := found()):
            assert self.clock.monotonic_s() < deadline_s, what
            self.clock.sleep(0.1)
        return it

    def confirmed(self) -> int:
        """How far the database knows that Kafka has it; 0 before there is a slot."""
        found = self.shop.execute(
            "select confirmed_flush_lsn - '0/0'::pg_lsn from pg_replication_slots"
            f" where slot_name = '{self.shop.slot}'"
        )
        return int(found[0][0] or 0) if found else 0

    def until_it_moves(self) -> None:
        """Wait until changes were captured by whoever captures now."""
        begin = int(self.shop.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])
        self.until(lambda: self.confirmed() > begin, "nothing is captured")


def has_written(least: int, status: FeedStatus) -> bool:
    return status.figures.get("changes", 0) > least


def flow_of(shop: Database, batch_rows: int) -> str:
    return FLOW.format(name=shop.name, url=shop.server.url(shop.name), batch_rows=batch_rows)


def test_killed_under_load_the_topic_equals_the_table_and_nothing_comes_twice(
    shop: Database, kafka_brokers: str, tmp_path: Path
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 500)")
    (tmp_path / "flow.yaml").write_text(flow_of(shop, 300))
    capture = Capture(shop, kafka_brokers)
    chance = random.Random(7)
    # A snapshot that is cut off begins again, as it always does with Debezium.
    with worker(tmp_path, kafka_brokers):
        capture.until_it_moves()

    with SlowLoad(shop.server.url(shop.name), 7) as load:
        for _ in range(2):
            with worker(tmp_path, kafka_brokers) as process:
                capture.until_it_moves()
                capture.clock.sleep(chance.uniform(0.0, 1.0))
                engine = capture.until(lambda: engine_of(process.pid), "there is no engine")
                os.kill(engine, signal.SIGKILL)
                capture.until_it_moves()
    with worker(tmp_path, kafka_brokers):
        shop.wait_until_confirmed(shop.slot)
    changes = read_changes(capture.broker, capture.topic)

    assert load.transactions > 50
    assert as_rows(replayed(changes)) == table(shop)
    assert_once_and_in_order(changes)


def test_an_engine_killed_within_a_copy_goes_on_at_the_row_where_it_was(
    shop: Database, kafka_brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COPY puts many rows into one entry of the log, and Debezium's position is that of the entry."""
    shop.execute(TABLE, "insert into orders (customer) values ('old')")
    engines: list[int] = []

    class Watched(EngineProcess):
        def __enter__(self) -> EngineProcess:
            found = super().__enter__()
            engines.append(found.pid)
            return found

    monkeypatch.setattr(feed_module, "EngineProcess", Watched)
    config = config_of(
        url=shop.server.url(shop.name), tables=["orders"], engine="debezium", batch_rows=77
    )
    broker = KafkaBroker(kafka_brokers)
    feed = run(DebeziumFeed(config, shop.name), name=shop.place, broker=broker)
    feed.reports.state("running")

    with (
        shop.server.connect(shop.name) as client,
        client.cursor() as cursor,
        cursor.copy("copy orders (customer, amount) from stdin") as copy,
    ):
        for number in range(COPIED):
            copy.write_row(("copied", number))
    for least in (1_000, 2_000, 3_000):
        feed.reports.wait(partial(has_written, least))
        os.kill(engines[-1], signal.SIGKILL)
        feed.reports.wait(lambda one: "ended with code -9" in one.text)
        feed.reports.all.clear()
    changes = read_changes(broker, f"{shop.name}.public.orders", COPIED + 1)
    feed.stop()

    assert [one.value["after"]["id"] for one in changes] == list(range(1, COPIED + 2))
