"""`headrace cdc` on captures of the embedded engine."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.connectors.cdc.debezium.feed import DebeziumFeed
from headrace.connectors.cdc.debezium.needs import java_version
from headrace.runtime import brokers as connecting
from headrace.runtime.cli.main import headrace
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import ConsumerSettings, TopicPartition
from tests.cdc.conftest import Database
from tests.cdc.mysql.server import MariadbServer
from tests.cdc.mysql.topics import wait_for
from tests.cdc.places import Running, config_of, run

TOPIC = "shop.changes.public.orders"
FLOW = """
name: shop
stages:
  - name: changes
    action: cdc
    config: {{url: "{url}", tables: [{table}], engine: debezium{more}}}
    out: log
  - {{name: log, action: log}}
"""


class Shop:
    """A database, the flow that captures it, and `headrace cdc` about it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.broker = database.broker
        self.slot = "headrace_shop_changes"
        self._flow = folder / "shop.yaml"
        database.execute(
            "create table orders (id int primary key)", "insert into orders values (1)"
        )
        self.write(database.server.url(database.name))

    def write(self, url: str, table: str = "orders", more: str = "") -> None:
        self._flow.write_text(FLOW.format(url=url, table=table, more=more))

    def call(self, command: str, *words: str) -> Result:
        return CliRunner().invoke(headrace, ["cdc", command, str(self._flow), *words])

    def read(self, command: str, *words: str) -> Any:
        result = self.call(command, *words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def checks(self) -> dict[str, Any]:
        found = json.loads(self.call("check", "--json").stdout)["checks"]
        return {one["subject"]: one for one in found}

    def capture(self) -> Running:
        """A capture that is past its snapshot."""
        url = self.database.server.url(self.database.name)
        config = config_of(url=url, tables=["orders"], engine="debezium", heartbeat="500ms")
        feed = DebeziumFeed(config, "shop.changes")
        running = run(feed, name="headrace.shop.changes", broker=self.broker)
        running.reports.state("running")
        return running

    def captured(self, running: Running, count: int) -> list[tuple[str, int]]:
        found = wait_for(self.broker, TOPIC, lambda found: len(found) >= count, running)
        return [(one.op, one.key["id"]) for one in found]

    def lose_slot(self) -> None:
        """Drop it when the engine, which was killed, has let go of it."""
        found = f"from pg_replication_slots where slot_name = '{self.slot}'"
        clock = SystemClock()
        while self.database.execute(f"select active {found}") == [(True,)]:
            clock.sleep(0.05)
        self.database.execute(f"select pg_drop_replication_slot(slot_name) {found}")


class Anyhow:
    """A member of a group that reads from the beginning and commits nothing."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None: ...


@pytest.fixture
def one(shop: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(connecting, "connect", lambda *_: shop.broker)
    return Shop(shop, tmp_path)


@pytest.fixture
def mariadb() -> Iterator[MariadbServer]:
    # A socket's path has room for a hundred signs only: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        server = MariadbServer(Path(folder), more=["binlog-row-metadata=NO_LOG"])
        server.install()
        try:
            yield server
        finally:
            server.stop()


def test_check_looks_at_the_machine_and_at_the_database(one: Shop) -> None:
    well = one.call("check", "--json")
    one.database.execute("alter table orders drop constraint orders_pkey")
    bad = one.call("check")

    assert well.exit_code == 0, well.output
    found = {check["subject"]: check["text"] for check in json.loads(well.stdout)["checks"]}
    assert found.keys() >= {"engine", "Java", "connector", "connection", "replication", "slot"}
    assert found["slot"].startswith(f"'{one.slot}' is not there yet")
    assert bad.exit_code == 1
    assert "REPLICA IDENTITY FULL" in bad.stdout


def test_check_looks_at_the_slot_and_the_publication_that_the_connector_is_told(one: Shop) -> None:
    database = one.database
    properties = "slot.name: theirs, publication.name: some, publication.autocreate.mode: disabled"
    one.write(database.server.url(database.name), more=f", properties: {{{properties}}}")

    found = one.checks()

    assert found["slot"]["text"].startswith("'theirs' is not there yet")
    assert "there is no publication 'some'" in found["publication"]["text"]


@pytest.mark.parametrize(
    ("more", "subject", "text"),
    [
        (
            ", connector_class: org.example.Connector",
            "connector",
            "org.example.Connector is in none",
        ),
        (", debezium: {java_home: /nowhere}", "Java", "/nowhere holds no Java"),
        (", connector_class: io.debezium.connector.oracle.OracleConnector", "database", "Oracle"),
    ],
)
def test_check_says_what_is_missing_here(one: Shop, more: str, subject: str, text: str) -> None:
    one.write(one.database.server.url(one.database.name), more=more)

    found = one.checks()[subject]

    assert found["level"] != "ok"
    assert text in found["text"]


def test_a_java_that_is_too_old_is_known_by_its_release(tmp_path: Path) -> None:
    (tmp_path / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="1.8.0_402"\n')

    assert java_version(tmp_path / "lib" / "server" / "libjvm.so") == 8


def test_status_tells_phase_and_position_and_what_the_slot_costs(one: Shop) -> None:
    before = one.read("status")
    one.capture().stop()
    one.database.execute("insert into orders values (2)")
    found = one.read("status")
    one.write("postgresql://127.0.0.1:1/none")
    away = one.read("status")

    assert (before["phase"], before["notes"]) == ("not begun", [])
    assert (found["phase"], found["tables"], found["notes"]) == ("streaming", ["public.orders"], [])
    assert found["position"]["lsn"] > 0
    assert found["figures"]["log_bytes"] > 0
    assert away["position"] == found["position"]
    assert "could not connect" in away["notes"][0]


def test_snapshot_is_refused_with_the_way_on(one: Shop) -> None:
    result = one.call("snapshot", "orders")

    assert result.exit_code == 4
    assert "signal.data.collection" in result.output
    assert "headrace cdc drop-slot" in result.output


def test_after_a_drop_there_is_nothing_left_and_the_next_start_begins_anew(one: Shop) -> None:
    one.capture().stop()
    one.database.execute("insert into orders values (2)")

    removed = one.read("drop-slot", "--yes")["removed"]
    gone = one.read("status")
    again = one.call("drop-slot", "--yes")
    anew = one.capture()
    one.database.execute("insert into orders values (3)")
    found = one.captured(anew, 4)
    anew.stop()

    assert removed == [
        f"replication slot '{one.slot}'",
        f"publication '{one.slot}'",
        "the stored position",
    ]
    assert gone["phase"] == "not begun"
    assert again.stdout == "there is nothing to remove\n"
    assert found == [("r", 1), ("r", 1), ("r", 2), ("c", 3)]


def test_a_capture_whose_slot_was_lost_begins_anew_after_a_drop(one: Shop) -> None:
    one.capture().stop()
    one.lose_slot()

    notes = one.read("status")["notes"]
    removed = one.read("drop-slot", "--yes")["removed"]
    one.capture().stop()

    assert notes == [f"replication slot '{one.slot}' does not exist"]
    assert removed == [f"publication '{one.slot}'", "the stored position"]


def test_a_drop_is_refused_while_the_engine_reads_the_slot(one: Shop) -> None:
    running = one.capture()
    refused = one.call("drop-slot", "--yes")
    one.database.execute("insert into orders values (2)")
    found = one.captured(running, 2)
    running.stop()

    assert refused.exit_code == 1
    assert "is being read by process" in refused.output
    assert found == [("r", 1), ("c", 2)]


def test_a_drop_is_refused_while_a_worker_has_the_stage(one: Shop) -> None:
    one.capture().stop()
    worker = one.broker.consumer(ConsumerSettings(group="headrace.shop", client_id="worker-1"))
    worker.subscribe([TOPIC], Anyhow())
    while not worker.assignment():
        worker.consume(1, 0.1)

    refused = one.call("drop-slot", "--yes")
    worker.close()
    allowed = one.read("drop-slot", "--yes")["removed"]

    assert refused.exit_code == 1
    assert "a worker has stage 'changes' (client 'worker-1'); stop it first" in refused.output
    assert "the stored position" in allowed


def test_a_mariadb_is_looked_at_without_what_only_the_native_engine_needs(
    one: Shop, mariadb: MariadbServer
) -> None:
    mariadb.sql("CREATE TABLE shop.orders (id INT PRIMARY KEY)")
    one.write(mariadb.url)
    before = one.checks()
    mariadb.sql("GRANT RELOAD ON *.* TO reader@'127.0.0.1'")
    after = one.checks()

    assert before["shop.orders"]["level"] == "ok"
    assert before["binlog_format"]["level"] == "ok"
    assert "binlog_row_metadata" not in before
    assert (before["privileges"]["level"], after["privileges"]["level"]) == ("warning", "ok")
    assert "debezium.class_path" in before["connector"]["text"]
    assert one.read("status")["phase"] == "not begun"
    assert one.call("drop-slot", "--yes").stdout == "there is nothing to remove\n"
