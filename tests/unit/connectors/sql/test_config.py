"""What is said about configs and addresses."""

import re
from typing import Any

import pytest

from headrace.connectors.sql.action import Sql, SqlExecute, SqlQuery, SqlWrite
from headrace.connectors.sql.place import DatabaseAddress
from headrace.connectors.sql.postgres.loading import iso
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.errors import SettingsError
from tests.unit.connectors.calling import action_of, problems_of

URL = "sqlite:///shop.db"


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"query": "select 1", "into": "a"}, SqlQuery),
        ({"execute": "delete from a"}, SqlExecute),
        ({"table": "a"}, SqlWrite),
    ],
)
def test_the_fields_tell_what_is_meant(config: dict[str, Any], kind: type) -> None:
    assert isinstance(action_of(Sql, {"database": URL, **config}), kind)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "needs exactly one of 'query', 'execute' and 'table'"),
        ({"query": "select 1", "table": "a"}, ".*found query and table"),
        ({"query": "select 1"}, "into: a query needs either 'into'"),
        ({"query": "select 1", "merge": True, "rows": "all"}, "rows: all of them are a list"),
        ({"query": "select ${event.id}", "into": "a"}, "query: values are never put into"),
        ({"execute": "delete from a", "into": "a"}, "into: does not go with 'execute'"),
        ({"execute": "x :a", "parameters": {"b": "1"}}, "parameters: 'b' is not in .* :a"),
        ({"query": "select 1", "into": "a", "from": "event"}, "from: does not go with 'query'"),
        ({"table": "a.b.c"}, "table: is a name"),
        ({"table": "a", "parameters": {"b": "1"}}, "parameters: do not go with 'table'"),
        ({"table": "a", "columns": {"b": "1"}, "key": ["id"]}, "columns: must have the columns"),
        ({"table": "a", "columns": {"b": "1"}, "from": "debezium"}, "columns: changes of"),
    ],
)
def test_a_wrong_config_is_explained(config: dict[str, Any], problem: str) -> None:
    found = problems_of(Sql, {"database": URL, **config})

    assert any(re.match(problem, text) for text in found), found


def test_an_address_is_read_and_shown_without_secrets() -> None:
    text = "postgresql://me:p%40ss@db.example:5433/shop?application_name=x"
    address = DatabaseAddress.parse(text, {"password": "other"})

    assert (address.user, address.password, address.port) == ("me", "other", 5433)
    assert address.options == {"application_name": "x"}
    assert address.shown == "database 'shop' on db.example:5433"
    assert "other" not in repr(address)
    assert DatabaseAddress.parse(text, {}).password == "p@ss"


def test_a_secret_in_an_address_may_hold_any_sign() -> None:
    config = {"database": "postgresql://me:${secret.P}@db/shop", "table": "a"}
    settings = action_of(Sql, config).settings()

    (piece,) = settings.values()
    filled = UrlTemplate(config["database"]).filled(
        dict.fromkeys(settings, "p@ss/w:rd"), "database"
    )
    assert piece.secrets == {"P"}
    assert DatabaseAddress.parse(filled, {}).password == "p@ss/w:rd"


@pytest.mark.parametrize(
    "text", ["oracle://a/b", "postgresql://host", "mysql://host:port/x", "me:hush@host/db"]
)
def test_what_is_no_address_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(SettingsError, match="database: ") as caught:
        DatabaseAddress.parse(text, {})

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00"),
        ("2026-01-31 12:00:00.5+00", "2026-01-31T12:00:00.5+00:00"),
        ("2026-01-31 12:00:00-05:30", "2026-01-31T12:00:00-05:30"),
        ("infinity", "infinity"),
    ],
)
def test_times_of_postgres_become_iso_8601(text: str, made: str) -> None:
    assert iso(text) == made
