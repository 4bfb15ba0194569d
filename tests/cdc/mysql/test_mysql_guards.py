"""Nothing is lost in silence: what would lose changes ends the capture, and says what to do."""

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.connectors.cdc.connection_settings import templates
from headrace.connectors.cdc.errors import CaptureError, ChangesLostError
from headrace.connectors.cdc.mysql import MysqlSource
from headrace.connectors.cdc.source import SourcePlace
from headrace.runtime.clock import SystemClock
from headrace.runtime.environment import Values
from headrace.runtime.errors import SettingsError
from headrace.runtime.expression.given import values_of
from tests.cdc.mysql.server import PASSWORD, MariadbServer
from tests.cdc.mysql.topics import capture, wait_for
from tests.cdc.places import config_of

SHOP = (
    "USE shop",
    "CREATE TABLE orders (id int PRIMARY KEY, v int)",
    "INSERT INTO orders VALUES (1, 1)",
)
TOPIC = "copy.shop.orders"


def source(server: MariadbServer, **fields: Any) -> MysqlSource:
    config = config_of(**{"url": server.url, "tables": ["shop.orders"], **fields})
    values = Values({}, {})
    return MysqlSource(
        SourcePlace(
            config=config,
            prefix="copy",
            name="headrace.orders.changes",
            settings=values_of(templates(config), values.env, values.secret),
            clock=SystemClock(),
            topic=lambda name: f"copy.{name}",
            partitions=lambda _: 1,
        )
    )


def refusal(server: MariadbServer, **fields: Any) -> CaptureError:
    one = source(server, **fields)
    try:
        with pytest.raises(CaptureError) as caught:
            one.open()
    finally:
        one.close()
    assert PASSWORD not in str(caught.value)
    return caught.value


def lost_after(server: MariadbServer, statements: Sequence[str]) -> str:
    """What a capture that was stopped says when it is started again."""
    one = capture(server, tables=["shop.orders"])
    feed = one.run()
    feed.reports.state("running")
    server.sql("USE shop", "UPDATE orders SET v = v + 1")
    wait_for(one.broker, TOPIC, lambda found: len(found) == 2, feed)
    feed.stop()

    server.sql("USE shop", *statements)
    feed = one.run()
    with pytest.raises(ChangesLostError) as caught:
        feed.join()
    assert feed.reports.state("failed").text == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("binlog_format", "MIXED", "ROW"),
        ("binlog_row_image", "MINIMAL", "FULL"),
        ("binlog_row_metadata", "NO_LOG", "FULL"),
        ("log_bin_compress", "1", "0"),
    ],
)
def test_a_setting_under_which_changes_are_lost_is_refused(
    mariadb: MariadbServer, name: str, wrong: str, right: str
) -> None:
    mariadb.sql(*SHOP, f"SET GLOBAL {name} = {wrong}")
    try:
        error = refusal(mariadb)
    finally:
        mariadb.sql(f"SET GLOBAL {name} = {right}")

    assert error.code == f"setting_{name}"
    assert f"SET GLOBAL {name} = " in str(error)


def test_a_wrong_password_is_told_without_it(mariadb: MariadbServer) -> None:
    error = refusal(mariadb, url=mariadb.url.replace(PASSWORD, "wrong-word"))

    assert error.code == "access_denied"
    assert "Access denied for the user" in str(error)
    assert "reader" not in str(error)
    assert "wrong-word" not in str(error)
    assert "REPLICATION SLAVE" in str(error)


def test_a_user_that_may_not_replicate_is_told_what_is_missing(mariadb: MariadbServer) -> None:
    mariadb.sql(
        *SHOP,
        "CREATE OR REPLACE USER guest@'127.0.0.1' IDENTIFIED BY 'guest'",
        "GRANT SELECT ON shop.* TO guest@'127.0.0.1'",
    )
    error = refusal(mariadb, url=mariadb.url.replace(f"reader:{PASSWORD}", "guest:guest"))

    assert error.code == "access_denied"
    assert "BINLOG MONITOR" in str(error)


def test_a_table_that_is_not_there_is_named(mariadb: MariadbServer) -> None:
    error = refusal(mariadb)

    assert error.code == "table_missing"
    assert "no table shop.orders" in str(error)


def test_an_option_that_nobody_knows_is_named(mariadb: MariadbServer) -> None:
    with pytest.raises(SettingsError, match="option 'ssl_mode' of the connection is not known"):
        source(mariadb, options={"ssl_mode": "require"}).open()


def test_a_log_that_was_purged_is_a_loss(own_mariadb: MariadbServer) -> None:
    own_mariadb.sql(*SHOP)
    purge = ["UPDATE orders SET v = 7", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"]
    purge += ["SET GLOBAL gtid_slave_pos = ''", "PURGE BINARY LOGS TO 'log.000003'"]

    text = lost_after(own_mariadb, purge)

    assert text.startswith("log_gone: the log of 127.0.0.1:")
    assert "keep them longer: binlog_expire_logs_seconds" in text


def test_a_server_that_was_reset_is_a_loss(own_mariadb: MariadbServer) -> None:
    own_mariadb.sql(*SHOP)

    text = lost_after(own_mariadb, ["RESET MASTER", "UPDATE orders SET v = 7"])

    assert text.startswith("server_behind: ")
    assert "it was restored from a backup, or is another server" in text


def test_what_was_lost_can_be_read_anew(own_mariadb: MariadbServer) -> None:
    own_mariadb.sql(*SHOP)
    one = capture(own_mariadb, tables=["shop.orders"], snapshot="when_needed")
    feed = one.run()
    feed.reports.state("running")
    feed.stop()

    own_mariadb.sql("RESET MASTER", "UPDATE shop.orders SET v = 7")
    feed = one.run()
    found = wait_for(one.broker, TOPIC, lambda found: len(found) == 2, feed)
    feed.stop()

    assert found[1].value["after"] == {"id": 1, "v": 7}


@pytest.mark.parametrize(
    ("session", "code"),
    [
        ("SET SESSION binlog_format = STATEMENT", "statement_logged"),
        ("SET SESSION binlog_row_image = MINIMAL", "row_image"),
        ("SET SESSION binlog_row_image = NOBLOB", ""),
    ],
)
def test_a_session_that_logs_in_another_way_is_noticed(
    mariadb: MariadbServer, session: str, code: str
) -> None:
    mariadb.sql(*SHOP)
    one = capture(mariadb, tables=["shop.orders"])
    feed = one.run()
    feed.reports.state("running")

    mariadb.sql("USE shop", session, "UPDATE orders SET v = 2")

    if code:
        with pytest.raises(CaptureError) as caught:
            feed.join()
        assert caught.value.code == code
        return
    wait_for(one.broker, TOPIC, lambda found: len(found) == 2, feed)
    feed.stop()


def test_a_truncate_can_stop_the_capture(mariadb: MariadbServer) -> None:
    mariadb.sql(*SHOP)
    feed = capture(mariadb, tables=["shop.orders"], truncate="fail").run()
    feed.reports.state("running")

    mariadb.sql("TRUNCATE shop.orders")

    with pytest.raises(CaptureError, match="was truncated"):
        feed.join()


def test_a_database_that_is_not_logged_is_refused(own_mariadb: MariadbServer) -> None:
    own_mariadb.sql(*SHOP)
    own_mariadb.stop()
    with (own_mariadb.folder / "my.cnf").open("a") as file:
        file.write("binlog-ignore-db=shop\n")
    own_mariadb.start()

    error = refusal(own_mariadb)

    assert "changes of database 'shop' are not logged: the server has binlog_ignore_db" in str(
        error
    )


def test_the_check_tells_of_settings_and_tables(mariadb: MariadbServer) -> None:
    mariadb.sql(
        *SHOP,
        "CREATE TABLE visits (who int)",
        "CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM",
    )
    one = source(mariadb, tables=["shop.*"])
    try:
        found = {finding.subject: finding for finding in one.check()}
    finally:
        one.close()

    assert found["binlog_format"].level == "ok"
    assert found["shop.orders"].level == "ok"
    assert "no primary key" in found["shop.visits"].text
    assert "engine MyISAM has no transactions" in found["shop.old"].text


def test_the_check_of_a_server_that_does_not_answer_is_a_finding(mariadb: MariadbServer) -> None:
    one = source(mariadb, url=f"mariadb://reader:{PASSWORD}@127.0.0.1:1/shop")
    found = one.check()
    one.close()

    assert [finding.level for finding in found] == ["error"]
    assert PASSWORD not in found[0].text
