"""Values with `${...}` in them."""

import pickle
from datetime import date
from typing import Any

import pytest

from headrace.runtime.expression import NAMES, ExpressionError, Template

from .evaluation import SOURCES, fill

EVENT = {
    "id": 7,
    "name": "Ada",
    "ok": True,
    "none": None,
    "tags": ["a", 1],
    "map": {"x": 1.5},
    "price": 2.0,
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${event.id}", 7),
        ("${ event.tags }", ["a", 1]),
        ("order ${event.id} of ${event.name}", "order 7 of Ada"),
        ("${event.id}${event.id}", "77"),
        (" ${event.id}", " 7"),
        ("${event.ok} ${event.none}", "true null"),
        ("${event.tags} ${event.map} ${event.price}", '["a",1] {"x":1.5} 2.0'),
        ("plain", "plain"),
        ("", ""),
        ("$5 and $${event.id} and $", "$5 and ${event.id} and $"),
        ("$$${event.id}", "$${event.id}"),
        ("{curly} ${event.id} {{double}}", "{curly} 7 {{double}}"),
        ("""it's "quoted" ${event.id} \\ \n""", """it's "quoted" 7 \\ \n"""),
        ("${ {'a': event.id}['a'] } and ${'}'}", "7 and }"),
        ("${f'{event.id:03d}'}!", "007!"),
        ("${event.name.lower()}-${upper(event.name)}", "ada-ADA"),
        ("""${event["name"]} ${event['id']} ${'\\n'}""", "Ada 7 \n"),
        ({"a": ["${event.id}", 1, None, {"b": "${event.ok}"}]}, {"a": [7, 1, None, {"b": True}]}),
        ({"${event.name}": 1, "x${event.id}": 2}, {"Ada": 1, "x7": 2}),
        (3, 3),
        (True, True),
        (None, None),
        (1.5, 1.5),
        ([], []),
        ({}, {}),
    ],
)
def test_a_template_is_filled(template: Any, value: Any) -> None:
    filled = fill(template, EVENT)

    assert filled == value
    assert type(filled) is type(value)


def test_the_source_of_a_template_is_a_display() -> None:
    template = Template.parse(
        {"id": "${event.id}", "text": "order ${event.name.lower()} #${event.id}"}
    )

    source = template.emit(SOURCES)

    text = "f\"order {event_3['name'].lower()} #{hr_text(event_3['id'])}\""
    assert source == '{"id": event_3["id"], "text": ' + text + "}"


def test_what_a_template_reads_is_what_its_expressions_read() -> None:
    template = Template.parse(
        {"${event.a}": ["${results.big.x} ${env.HOME}", {"b": "${secret.TOKEN}"}]}
    )

    assert template.reads == {"event", "results", "env", "secret"}
    assert template.results == {"big"}
    assert template.env == {"HOME"}
    assert template.secrets == {"TOKEN"}
    assert template.event_fields == frozenset({"a"})
    assert not template.is_constant
    assert Template.parse(["${event.a}", "${event}"]).event_fields is None


def test_a_constant_is_a_fresh_copy_each_time() -> None:
    given = {"a": [1, "$${x}"]}
    template = Template.parse(given)
    given["a"].append(2)

    first, second = template.constant, template.constant
    first["a"].append(3)

    assert template.is_constant
    assert second == {"a": [1, "${x}"]}
    assert fill({"a": [1]}) == {"a": [1]}


def test_a_template_with_expressions_has_no_constant() -> None:
    with pytest.raises(ValueError, match="depends on the record"):
        _ = Template.parse("${event.a}").constant


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${event.a", "never closed"),
        ("${event.a + '}'", "never closed"),
        ("a ${evnt.a}", "did you mean 'event'? at column 5 of 'a ${evnt.a}'"),
        ("${}", "an expression is needed here"),
        ({"a": date(2024, 1, 1)}, "this is a date; put it in quotes"),
        ({1: "a"}, "the name of a field is text, and this is a int"),
        ([float("nan")], "finite"),
        ([object()], "this is a object"),
    ],
)
def test_a_wrong_template_is_refused(template: Any, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Template.parse(template)

    assert message in str(caught.value)


def test_templates_are_equal_by_value_and_names() -> None:
    assert Template.parse(["${event.a}"]) == Template.parse(["${event.a}"])
    assert hash(Template.parse({"a": 1})) == hash(Template.parse({"a": 1}))
    assert Template.parse(1) != Template.parse(True)
    assert Template.parse("a") != Template.parse("a", NAMES | {"item"})
    assert Template.parse("a") != "a"


def test_a_template_survives_pickling() -> None:
    template = Template.parse({"a": "${event.a}"})

    assert pickle.loads(pickle.dumps(template)) == template
