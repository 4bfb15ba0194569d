"""Finding parameters in statements."""

import pytest

from headrace.connectors.sql.statement import Statement, StatementError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("select :a, :b_2, :a", ["a", "b_2", "a"]),
        ("select ':a', \":b\", `:c`, :d", ["d"]),
        ("select 'it''s :a' || :b", ["b"]),
        (r"select 'it\'s :a' || :b", ["b"]),
        ("select x::int, :a::text", ["a"]),
        ("select 1 -- :a\n, :b /* :c */", ["b"]),
        ("select $$ :a $$, $tag$ :b $$ $tag$, :c", ["c"]),
        ("select a[1:2], now(), '12:30'", []),
    ],
)
def test_parameters_are_found_outside_of_quotes_and_comments(text: str, names: list[str]) -> None:
    statement = Statement.parse(text)

    assert list(statement.names) == names
    assert statement.spelled(lambda name: f":{name}") == text


def test_percent_signs_are_doubled_where_the_driver_wants_it() -> None:
    statement = Statement.parse("select 5 % 2 where a like '%x' and b = :b")

    assert statement.spelled(lambda name: f"%({name})s", percent="%%") == (
        "select 5 %% 2 where a like '%%x' and b = %(b)s"
    )


@pytest.mark.parametrize(("text", "message"), [(" ; ", "empty"), ("select ${event.id}", ":name")])
def test_what_is_no_statement_is_refused(text: str, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        Statement.parse(text)
