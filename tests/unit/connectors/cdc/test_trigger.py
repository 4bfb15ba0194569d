from typing import Any

import pytest
import re2
from pydantic import ValidationError

from headrace.connectors.cdc import CdcTrigger
from headrace.connectors.cdc.connection_settings import address, templates
from headrace.connectors.cdc.tables import TableName, Tables, topic_of
from headrace.runtime.errors import SettingsError

URL = "postgresql://reader:${secret.PASSWORD}@db:5432/shop"


def trigger(**config: Any) -> CdcTrigger:
    given = {"url": URL, "tables": ["orders"], **config}
    action = CdcTrigger(CdcTrigger.Config.model_validate(given))
    return action.placed("shop", "changes")


def test_each_table_has_a_topic_under_the_names_of_flow_and_stage() -> None:
    source = trigger(tables=["orders", "sales.refunds"]).source()

    assert source.topics == ("shop.changes.public.orders", "shop.changes.sales.refunds")
    assert source.pattern is None


def test_a_prefix_of_the_topics_can_be_chosen() -> None:
    assert trigger(topic_prefix="pg").source().topics == ("pg.public.orders",)


def test_tables_by_pattern_are_topics_by_pattern() -> None:
    action = trigger(tables=["public.order_*", "sales.*"])
    pattern = action.source().pattern

    assert pattern is not None
    matches = re2.compile(pattern).fullmatch
    assert matches(topic_of("shop.changes", TableName("public", "order_lines")))
    assert matches(topic_of("shop.changes", TableName("sales", "refunds")))
    assert not matches(topic_of("shop.changes", TableName("public", "users")))
    assert not matches("shopXchanges.public.order_lines")
    assert matches(action.feed().topics()[0].name)


def test_excluded_tables_are_not_chosen() -> None:
    tables = Tables(("public.*",), ("tmp_*",))
    existing = [TableName("public", "orders"), TableName("public", "tmp_1"), TableName("x", "y")]

    assert tables.chosen(existing) == [TableName("public", "orders")]


def test_a_setting_for_one_table_counts_before_a_pattern() -> None:
    found = Tables(("*",)).of({"public.*": 1, "orders": 2}, TableName("public", "orders"))

    assert found == 2


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"tables": []}, "needs 'tables'"),
        ({"url": "${env.URL}"}, "needs 'database'"),
        ({"host": "db"}, "has both 'url' and 'host'"),
        ({"url": None}, "needs 'database'"),
        ({"url": None, "database": "mysql"}, "needs 'url', or 'host'"),
        ({"engine": "connect"}, "needs 'connect'"),
        ({"url": "mysql://db"}, "'orders' needs its database, as in 'shop.orders' or at the end"),
        ({"url": "mysql://u:${secret.P}@db:3306/${env.NAME}"}, "needs its database"),
        ({"url": "${env.URL}", "database": "mysql"}, "needs its database"),
        ({"url": "postgresql://${event.x}"}, "has only env and secret"),
        ({"columns": {"orders": {"include": "a", "exclude": "b"}}}, "both 'include' and 'exclude'"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(config: dict[str, Any], problem: str) -> None:
    assert any(problem in text for text in trigger(**config).problems())


@pytest.mark.parametrize(
    "place",
    [
        {"url": "mariadb://u:${secret['a/b']}@db:3306/shop?sslmode=require"},
        {"url": "mysql://${env.USER}@${env.HOST}/shop"},
        {"url": None, "database": "mysql", "host": "${env.HOST}", "dbname": "shop"},
    ],
)
def test_a_bare_name_of_mysql_is_a_table_of_the_database_that_is_entered(
    place: dict[str, Any],
) -> None:
    found = trigger(
        **place,
        tables=["orders", "order_*", "other.users"],
        exclude="order_tmp",
        columns={"orders": {"exclude": "note"}},
        keys={"orders": "id"},
        snapshot_where={"other.users": "id > 1"},
    )

    assert not list(found.problems())
    assert found.config.tables == ("shop.orders", "shop.order_*", "other.users")
    assert found.config.exclude == ("shop.order_tmp",)
    assert list(found.config.columns) == list(found.config.keys) == ["shop.orders"]
    assert list(found.config.snapshot_where) == ["other.users"]


def test_a_bare_name_of_mysql_has_a_topic_with_its_database() -> None:
    found = trigger(url="mysql://db/shop", tables="orders")

    assert found.source().topics == ("shop.changes.shop.orders",)


def test_a_right_config_has_no_problems() -> None:
    assert not list(trigger().problems())


def test_outbox_true_stands_for_the_usual_columns() -> None:
    outbox = trigger(outbox=True).config.outbox

    assert outbox is not None
    assert outbox.key == "aggregateid"


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError):
        trigger(tabels=["orders"])


def test_an_address_is_read_from_a_url_or_from_its_parts() -> None:
    whole = address({"url": "postgresql://me:p%40ss@[::1]:5433/shop?sslmode=require"})
    parts = address(
        {"host": "::1", "port": "5433", "user": "me", "password": "p@ss", "dbname": "shop"}
    )

    assert whole[:5] == parts[:5] == ("::1", 5433, "me", "p@ss", "shop")
    assert whole.options == {"sslmode": "require"}
    assert "p@ss" not in f"{whole!r} {whole}"


def test_a_secret_in_a_url_may_hold_any_sign() -> None:
    config = trigger(url="postgresql://me:${secret.P}@${env.HOST}/shop").config
    given = {
        name: template.constant
        if template.is_constant
        else "12/3%41@4#5"
        if template.secrets
        else "db:5433"
        for name, template in templates(config).items()
    }

    found = address(given)

    assert found[:5] == ("db", 5433, "me", "12/3%41@4#5", "shop")


def test_a_port_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="port"):
        address({"host": "db", "port": "secret"})
