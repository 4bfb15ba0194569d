"""How aggregations are written, and what is said of those that are written wrong."""

import pytest
from pydantic import ValidationError

from headrace.operators.reduce.aggregation import Aggregation
from headrace.operators.reduce.config import ReduceConfig


def reason(text: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Aggregation.model_validate(text)
    return str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("text", "expressions", "constants"),
    [
        ("count()", [], {}),
        (" sum( event.a + 1 ) ", ["event.a + 1"], {}),
        ("sum(max(event.a, event.b))", ["max(event.a, event.b)"], {}),
        ('first(event["a,b"])', ['event["a,b"]'], {}),
        ("first(event['a\\',)'])", ["event['a\\',)']"], {}),
        ("first(event?.from)", ["event?.from"], {}),
        ("first([event.a, event.b])", ["[event.a, event.b]"], {}),
        ("collect(event.a, 1_000)", ["event.a"], {"limit": 1000}),
        ("collect(event.a, 10, 'last')", ["event.a"], {"limit": 10, "keep": "last"}),
        ("top(event.a, 3, event.b)", ["event.a", "event.b"], {"limit": 3}),
        ("quantile(event.a, 0.95)", ["event.a"], {"share": 0.95}),
        ('reducer("a.b:C")', ["event"], {"path": "a.b:C"}),
        ('reducer("a.b:C", event.x)', ["event.x"], {"path": "a.b:C"}),
    ],
)
def test_an_aggregation_is_read(
    text: str, expressions: list[str], constants: dict[str, object]
) -> None:
    made = Aggregation.model_validate(text)

    assert [part.text for part in made.expressions] == expressions
    assert {
        name: value
        for name in ("limit", "keep", "share", "path")
        if (value := getattr(made, name)) is not None
    } == constants


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (7, "must be text such as sum(event.amount)"),
        (
            "event.amount",
            "an aggregation is one call, such as sum(event.amount); there are count, sum",
        ),
        ("cuont", "did you mean 'count'?"),
        ("average(event.a)", "there is no aggregate 'average'; there are count, sum, min"),
        ("summ(event.a)", "there is no aggregate 'summ'; did you mean 'sum'?"),
        ("sum()", "sum takes 1 argument, found 0: write sum(event.amount)"),
        ("sum(event.a, event.b)", "sum takes 1 argument, found 2"),
        ("top(event.a)", "top takes 2 to 3 arguments, found 1: write top(event.amount, 3)"),
        ("sum(event.a,)", "an argument is empty; there is a comma too many"),
        ("sum(evnt.a)", "in sum(...): unknown name 'evnt'; did you mean 'event'?"),
        ("sum(event.a) + 1", "an aggregation is one call"),
        (
            "top(event.a, event.n)",
            "argument 2 must be a whole number from 1 to 10,000, written out",
        ),
        ("collect(event.a, 0)", "must be a whole number from 1 to 100,000"),
        ('collect(event.a, 5, "newest")', 'argument 3 must be "first" or "last", written out'),
        ("quantile(event.a, 95)", "argument 2 must be a number from 0 to 1"),
        ("reducer(a.b:C)", 'argument 1 must be "package.module:Name" in quotes'),
    ],
)
def test_a_wrong_aggregation_is_explained(text: object, expected: str) -> None:
    assert expected in reason(text)


def test_expressions_of_aggregations_are_found() -> None:
    config = ReduceConfig.model_validate(
        {"key": "event.k", "aggregate": {"a": "top(event.x, 3, event.y)", "b": "count(event.z)"}}
    )

    assert [str(part) for part in config.parts()] == ["event.k", "event.x", "event.y", "event.z"]


def test_a_config_has_a_schema_and_a_text() -> None:
    config = ReduceConfig.model_validate({"aggregate": {"a": "sum(event.x)"}, "grace": "10s"})

    assert config.model_dump(mode="json", exclude_defaults=True) == {
        "aggregate": {"a": "sum(event.x)"},
        "grace": "10s",
    }
    schema = ReduceConfig.model_json_schema()
    assert schema["$defs"]["Aggregation"]["type"] == "string"
