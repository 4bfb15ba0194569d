"""Engine `connect` on a real Kafka Connect with Debezium's connectors, a real broker and real databases."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.connectors.cdc.connect.connector import Connector
from headrace.connectors.cdc.connect.feed import ConnectFeed
from headrace.connectors.cdc.connect.rest import ConnectClient
from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.cli.main import headrace
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.feed import FeedStatus
from headrace.runtime.errors import SettingsError
from tests.cdc.conftest import Database
from tests.cdc.connect_server import ConnectServer
from tests.cdc.debezium.exactly_once import assert_once_and_in_order
from tests.cdc.load import TABLE, Load, as_rows, table
from tests.cdc.mysql.server import PASSWORD as MARIADB_PASSWORD
from tests.cdc.mysql.server import MariadbServer
from tests.cdc.places import Running, config_of, run
from tests.cdc.postgres_server import PASSWORD
from tests.cdc.running import Change, read_changes, replayed

pytestmark = pytest.mark.kafka

SECRET = PASSWORD.replace(" ", "%20")
WAIT_S = 60.0
ORDERS = "create table orders (id int primary key, v text, amount numeric(10, 2))"
FLOW = """
name: {name}
stages:
  - name: changes
    action: cdc
    config:
      url: {url}
      tables: [orders]
      partitions: 1
      engine: connect
      connect: {{url: '{connect}'}}
    out: seen
  - {{name: seen, action: map, config: {{take: [op, before, after]}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-seen}}}}
"""
WITH_SCHEMA = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
READING = """
name: {name}
stages:
  - name: changes
    action: kafka
    config: {{topics: {topic}, format: debezium}}
    out: seen
  - {{name: seen, action: map, config: {{take: [op, before, after]}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-seen}}}}
"""


@pytest.fixture(scope="module")
def kafka_connect(kafka_brokers: str) -> Iterator[ConnectServer]:
    with ConnectServer(kafka_brokers) as server:
        yield server


@pytest.fixture
def mariadb() -> Iterator[MariadbServer]:
    # A socket's path has room for a hundred signs only: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        server = MariadbServer(Path(folder))
        server.install()
        try:
            yield server
        finally:
            server.stop()


class RowLoad(Load):
    """Writes as much as Debezium can follow, and each row as an entry of its own in the database's log.

    COPY puts many rows into one entry of the log. Debezium's position is that of an entry: a connector that dies between two
    rows of one goes on behind it, and the rest is lost, whoever runs it.
    """

    def _write(self) -> None:
        self._stopped.wait(0.1)
        choice = self._random.random()
        execute = self._client.execute
        if choice < 0.5:
            execute(
                "insert into orders (customer, amount) select 'many', i from generate_series(1, %s) i",
                [self._random.choice((1, 10, 100, 500))],
            )
        elif choice < 0.7:
            execute(
                "update orders set n = n + 1 where mod(id, 97) = %s", [self._random.randrange(97)]
            )
        elif choice < 0.8:
            execute("update orders set id = -id where id > 0 and mod(id, 499) = 7")
        elif choice < 0.95:
            execute("delete from orders where mod(id, 211) = %s", [self._random.randrange(211)])
        else:
            execute("insert into orders (customer) select 'never' from generate_series(1, 500)")
            self._client.rollback()
            return
        self._client.commit()


class Stage:
    """A stage with `engine: connect`, of a database of its own. What it registered goes with the test."""

    def __init__(self, shop: Database, server: ConnectServer) -> None:
        self.shop = shop
        self.broker = KafkaBroker(server.brokers)
        self.connector = Connector(ConnectClient(server.url), shop.place)
        self.url = server.url

    @property
    def topic(self) -> str:
        return f"{self.shop.name}.public.orders"

    def watch(self, **fields: Any) -> Running:
        url = self.shop.server.url(self.shop.name).replace(SECRET, "${secret.PASSWORD}")
        config = config_of(
            **{
                "url": url,
                "tables": ["orders"],
                "engine": "connect",
                "connect": {"url": self.url},
                **fields,
            }
        )
        feed = ConnectFeed(config, self.shop.name, watch_s=0.2)
        return run(feed, name=self.shop.place, broker=self.broker, secrets={"PASSWORD": SECRET})

    def changes(self, count: int) -> list[Change]:
        return read_changes(self.broker, self.topic, count)

    def remove(self) -> None:
        """Remove the connector and wait until it has let go of the database."""
        self.connector.remove()
        sql = "select 1 from pg_replication_slots where active and database = current_database()"
        until(lambda: not self.shop.execute(sql))


@pytest.fixture
def stage(shop: Database, kafka_connect: ConnectServer) -> Iterator[Stage]:
    one = Stage(shop, kafka_connect)
    yield one
    one.remove()


@contextmanager
def headrace_run(folder: Path, text: str, brokers: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`headrace run`, killed in the end."""
    (folder / "flow.yaml").write_text(text)
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(folder / "state"),
        "HEADRACE_BROKERS": brokers,
        "HEADRACE_SESSION_TIMEOUT": "6s",
    }
    words = ["run", "flow.yaml", "--create-topics", "--log-level", "warning"]
    command = [sys.executable, "-m", "headrace", *words]
    with subprocess.Popen(command, cwd=folder, env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def until(found: Callable[[], Any]) -> Any:
    """Wait until something is found, and return it."""
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + WAIT_S
    while not (it := found()):
        assert clock.monotonic_s() < deadline_s, "it does not come"
        clock.sleep(0.1)
    return it


def is_running(status: FeedStatus) -> bool:
    return status.state == "running"


def seen(brokers: str, name: str, count: int) -> list[Any]:
    """What a flow has published, and nothing more than that."""
    found = [one.value for one in read_changes(KafkaBroker(brokers), f"{name}-seen", count)]
    assert len(found) == count, found
    return found


def row(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "v": text, "amount": f"{number}.00"}


def test_a_flow_gets_the_rows_and_every_change_and_goes_on_after_it_and_connect_were_killed(
    stage: Stage, shop: Database, kafka_connect: ConnectServer, tmp_path: Path
) -> None:
    shop.execute(ORDERS, "insert into orders values (1, 'ann', 1)")
    text = FLOW.format(name=shop.name, url=shop.server.url(shop.name), connect=kafka_connect.url)
    empty = {"id": 1, "v": None, "amount": None}

    with headrace_run(tmp_path, text, kafka_connect.brokers):
        seen(kafka_connect.brokers, shop.name, 1)
        shop.execute(
            "insert into orders values (2, 'bob', 2)",
            "update orders set v = 'bert' where id = 2",
            "delete from orders where id = 1",
            "truncate orders",
        )
        seen(kafka_connect.brokers, shop.name, 5)
    kafka_connect.kill()
    shop.execute("insert into orders values (3, 'eve', 3)")
    kafka_connect.start()
    with headrace_run(tmp_path, text, kafka_connect.brokers):
        found = seen(kafka_connect.brokers, shop.name, 6)
        status = CliRunner().invoke(
            headrace,
            ["cdc", "status", str(tmp_path / "flow.yaml"), "--brokers", kafka_connect.brokers],
        )

    assert found == [
        {"op": "r", "before": None, "after": row(1, "ann")},
        {"op": "c", "before": None, "after": row(2, "bob")},
        {"op": "u", "before": None, "after": row(2, "bert")},
        {"op": "d", "before": empty, "after": None},
        {"op": "t", "before": None, "after": None},
        {"op": "c", "before": None, "after": row(3, "eve")},
    ]
    assert status.exit_code == 0, status.output
    assert "streaming" in status.stdout


def test_connect_killed_under_load_the_topic_equals_the_table_and_nothing_comes_twice(
    stage: Stage, shop: Database, kafka_connect: ConnectServer
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 500)")
    feed = stage.watch(partitions=3)
    feed.reports.wait(is_running)

    # A snapshot that is cut off begins again, as it always does with Debezium.
    until(lambda: stage.connector.is_in_snapshot() is False)

    with RowLoad(shop.server.url(shop.name), 5) as load:
        load.until(30)
        kafka_connect.kill()
        feed.reports.wait(lambda one: "does not answer" in one.text)
        kafka_connect.start()
        load.until(load.transactions + 30)
    # Whether the slot still counts as in use is for the database to notice; Debezium tries again every ten seconds.
    shop.wait_until_confirmed(shop.slot, 240)
    feed.stop()
    changes = stage.changes(load.transactions)

    assert as_rows(replayed(changes)) == table(shop)
    assert_once_and_in_order(changes)


def test_a_wrong_password_is_an_error_that_names_the_field_and_hides_it(
    stage: Stage, shop: Database
) -> None:
    shop.execute(ORDERS)
    url = f"postgresql://admin:not-the-one@127.0.0.1:{shop.server.port}/{shop.name}"

    feed = stage.watch(url=url)
    with pytest.raises(SettingsError) as caught:
        feed.join()

    assert "database.user, database.password: " in str(caught.value)
    assert "password authentication failed" in str(caught.value)
    assert "not-the-one" not in str(caught.value)
    assert stage.connector.config() is None


def test_a_connector_that_is_paused_rests_and_goes_on_where_it_was(
    stage: Stage, shop: Database
) -> None:
    shop.execute(ORDERS, "insert into orders values (1, 'ann', 1)")
    feed = stage.watch()
    stage.changes(1)

    stage.connector.pause()
    status = feed.reports.state("paused")
    shop.execute("insert into orders values (2, 'bob', 2)")
    stage.connector.resume()
    feed.reports.all.clear()
    feed.reports.wait(is_running)
    found = stage.changes(2)
    feed.stop()

    assert [one.op for one in found] == ["r", "c"]
    assert status.text == f"the connector '{shop.place}' is paused in Kafka Connect"


def test_a_slot_that_was_dropped_is_told_of_by_its_root_cause(stage: Stage, shop: Database) -> None:
    shop.execute(ORDERS, "insert into orders values (1, 'ann', 1)")
    feed = stage.watch()
    feed.reports.wait(is_running)
    stage.connector.stop()
    feed.reports.state("paused")
    until(
        lambda: shop.execute(
            f"select 1 from pg_replication_slots where slot_name = '{shop.slot}' and not active"
        )
    )
    shop.execute(f"select pg_drop_replication_slot('{shop.slot}')")

    stage.connector.resume()
    status = feed.reports.wait(lambda one: one.figures.get("connector_tasks_failed") == 1)
    feed.stop()

    assert status.state == "retrying"
    assert "no longer available on the server" in status.text


def test_removing_leaves_nothing_in_connect_and_nothing_in_the_database(
    stage: Stage, shop: Database, kafka_connect: ConnectServer, tmp_path: Path
) -> None:
    shop.execute(ORDERS, "insert into orders values (1, 'ann', 1)")
    url = shop.server.url(shop.name)
    text = FLOW.format(name=shop.name, url=url, connect=kafka_connect.url)
    flow = str(tmp_path / "flow.yaml")
    at = ["--brokers", kafka_connect.brokers]
    with headrace_run(tmp_path, text, kafka_connect.brokers):
        seen(kafka_connect.brokers, shop.name, 1)

    checked = CliRunner().invoke(headrace, ["cdc", "check", flow, *at])
    paused = CliRunner().invoke(headrace, ["cdc", "pause", flow, *at])
    until(lambda: "paused" in CliRunner().invoke(headrace, ["cdc", "status", flow, *at]).stdout)
    resumed = CliRunner().invoke(headrace, ["cdc", "resume", flow, *at])
    removed = CliRunner().invoke(headrace, ["cdc", "drop-slot", flow, "--yes", *at])
    status = CliRunner().invoke(headrace, ["cdc", "status", flow, *at])

    slot = f"headrace_{shop.name}_changes"
    assert checked.exit_code == 0, checked.output
    connector = f"connector 'headrace.{shop.name}.changes'"
    assert (paused.stdout, resumed.stdout) == (f"{connector} rests\n", f"{connector} goes on\n")
    assert removed.stdout == (
        f"removed connector 'headrace.{shop.name}.changes', replication slot '{slot}', publication '{slot}'\n"
    )
    assert "not begun" in status.stdout
    assert shop.execute("select 1 from pg_publication") == []


@pytest.mark.parametrize("more", [{}, WITH_SCHEMA], ids=["without a schema", "with a schema"])
def test_a_kafka_trigger_reads_what_the_connector_wrote(
    stage: Stage,
    shop: Database,
    kafka_connect: ConnectServer,
    tmp_path: Path,
    more: dict[str, str],
) -> None:
    shop.execute(ORDERS, "insert into orders values (1, 'ann', 1)")
    feed = stage.watch(properties=more)
    stage.changes(1)
    shop.execute("update orders set v = 'anna'", "delete from orders")
    written = stage.changes(4)
    feed.stop()
    name = f"reading-{uuid.uuid4().hex[:8]}"

    text = READING.format(name=name, topic=stage.topic)
    with headrace_run(tmp_path, text, kafka_connect.brokers):
        found = seen(kafka_connect.brokers, name, 3)

    assert ("schema" in written[0].value) == bool(more)
    assert [one["op"] for one in found] == ["r", "u", "d"]
    assert found[1]["after"] == row(1, "anna")


def test_a_mariadb_is_captured(mariadb: MariadbServer, kafka_connect: ConnectServer) -> None:
    mariadb.sql(
        "GRANT RELOAD, LOCK TABLES, BINLOG ADMIN, REPLICATION CLIENT, SHOW DATABASES ON *.* TO reader@'127.0.0.1'",
        "CREATE TABLE shop.orders (id INT PRIMARY KEY, v TEXT, amount DECIMAL(10, 2))",
        "INSERT INTO shop.orders VALUES (1, 'ann', 1)",
    )
    prefix = f"copy-{uuid.uuid4().hex[:8]}"
    config = config_of(
        url=mariadb.url.replace(MARIADB_PASSWORD, "${secret.PASSWORD}"),
        tables=["shop.orders"],
        engine="connect",
        connect={"url": kafka_connect.url},
    )
    broker = KafkaBroker(kafka_connect.brokers)
    name = f"headrace.{prefix}.changes"
    connector = Connector(ConnectClient(kafka_connect.url), name)
    feed = run(
        ConnectFeed(config, prefix, watch_s=0.2),
        name=name,
        broker=broker,
        secrets={"PASSWORD": MARIADB_PASSWORD},
    )

    feed.reports.wait(is_running)
    read_changes(broker, f"{prefix}.shop.orders", 1)
    mariadb.sql(
        "INSERT INTO shop.orders VALUES (2, 'bob', 2)",
        "UPDATE shop.orders SET v = 'bert' WHERE id = 2",
        "DELETE FROM shop.orders WHERE id = 1",
        "TRUNCATE shop.orders",
    )
    found = read_changes(broker, f"{prefix}.shop.orders", 6)
    feed.stop()
    connector.remove()

    assert [one.op for one in found] == ["r", "c", "u", "d", "tombstone", "t"]
    assert found[2].value["before"] == row(2, "bob")
    assert found[2].value["after"] == row(2, "bert")
