"""The listed functions, beyond the examples of the documentation."""

from typing import Any

import pytest

from headrace.runtime.expression import FUNCTIONS, EvaluationError

from .evaluation import evaluate

EVENT: dict[str, Any] = {
    "a": {"b": [{"c": 1}, {"c": None}]},
    "a.b": 2,
    "t": "Straße 12",
    "list": [3, 1, 2],
    "rows": [{"n": 2, "k": "x"}, {"n": 1, "k": "y"}],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("get(event, 'a.b.0.c')", 1),
        ("get(event, 'a.b.1.c', 5)", None),
        ("get(event, 'a.b.2.c', 5)", 5),
        ("get(event, 'a.b.-1.c', 5)", 5),
        ("get(event, 'a.x.c', 5)", 5),
        ("get(event, ['a.b'])", 2),
        ("get(event.t, 'x')", None),
        ("get(null, 'x', default=1)", 1),
        ("get(event, lower('A.B.0.C'))", 1),
        ("has(event, 'a.b.1.c')", True),
        ("has(event, 'a.b.1.d')", False),
        ("has(event, lower('A'))", True),
        ("sorted(event.rows, by='n')[0].k", "y"),
        ("sorted(event.list, reverse=true)", [3, 2, 1]),
        ("sorted(x.n for x in event.rows)", [1, 2]),
        ("min(x.n for x in event.rows)", 1),
        ("max([], default=0)", 0),
        ("join((x.k for x in event.rows), '-')", "x-y"),
        ("', '.join([x.k for x in event.rows])", "x, y"),
        ("', '.join(x.k for x in event.rows)", "x, y"),
        ("{k: v for k, v in items(event.a)}", {"b": [{"c": 1}, {"c": None}]}),
        ("[i for i, (a, b) in enumerate(zip([1, 2], [3, 4])) if a < b]", [0, 1]),
        ("{x.k for x in event.rows} == {'x', 'y'}", True),
        ("extract(event.t, '[0-9]+')", "12"),
        ("extract(event.t, '(?P<street>\\\\pL+) ([0-9]+)', 'street')", "Straße"),
        ("extract(event.t, '(x)?12')", None),
        ("extract(event.t, 'a(x)')", None),
        ("matches(event.t, 'ß')", True),
        ("replace_matches(event.t, 'ß|[0-9]', '_')", "Stra_e __"),
        ("replace_matches('abc', 'x*', '-')", "-a-b-c-"),
        ("replace_matches('a', 'a', '\\\\1')", "\\1"),
        ("parse_time('2024-05-01T12:00:00Z')", 1714564800000),
        ("parse_time('2024-05-01T14:00:00+02:00')", 1714564800000),
        ("parse_time('2024-05-01')", 1714521600000),
        ("parse_time('2024-05-01', zone='Europe/Berlin')", 1714514400000),
        ("parse_time('01.05.2024', '%d.%m.%Y')", 1714521600000),
        ("parse_time('1969-12-31T23:59:59.999Z')", -1),
        ("format_time(-1)", "1969-12-31T23:59:59.999Z"),
        ("format_time(timestamp, zone='America/New_York')", "2024-05-01T08:00:00.000-04:00"),
        ("hour(timestamp, 'Europe/Berlin')", 14),
        ("int('ff', 16)", 255),
        ("round(2.5)", 2),
        ("round(1234.567, -2)", 1200.0),
        ("floor(-1.5)", -2),
        ("log(8, 2)", 3.0),
        ("2 ** 0.5 > 1.41", True),
        ("(-1) ** 10 ** 9", 1),
        ("0 ** 10 ** 9", 0),
        ("reversed('abc')", ["c", "b", "a"]),
        ("list({'a': 1})", ["a"]),
        ("flatten([1, [2, [3]]])", [1, 2, [3]]),
        ("pick(event, ['t', 'zzz'])", {"t": "Straße 12"}),
        ("keys(omit(event, 'a', 'a.b', 'rows', 'list'))", ["t"]),
        ("to_json({'é': [1.0, null, true]})", '{"é":[1.0,null,true]}'),
        ("to_json({1, 2})", "[1,2]"),
        ("parse_json('{\"a\": [1]}').a[0]", 1),
        ("base64_decode('w6k')", "é"),
        ("url_decode('a%20b')", "a b"),
        ("uuid5('a') == uuid5('a')", True),
        (
            "uuid5('a', '6ba7b810-9dad-11d1-80b4-00c04fd430c8')",
            "4f3f2898-69e3-5a0d-820a-c4e87987dbce",
        ),
        ("type_of(event.list)", "list"),
        ("first([], 'none')", "none"),
        ("last('abc')", "c"),
        ("str(true)", "True"),
        ("1 if 1e999 > 10 ** 100 else 2", 1),
    ],
)
def test_a_function_gives_its_value(text: str, value: Any) -> None:
    result = evaluate(text, EVENT)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sqrt(0 - 1)", "sqrt needs a number that is not negative"),
        ("log(0)", "log needs a number above 0"),
        ("log(2, 1)", "log has no base 1"),
        ("floor(1e999)", "floor needs a finite number"),
        ("unique([[1]])", "unique needs elements that are no lists or maps"),
        ("sorted([{}], by='n')", "sorted needs maps that all have the field to sort by"),
        ("extract('a', 'a', 3)", "extract needs a group that its pattern has"),
        ("sha256(1)", "sha256 needs text, not a number"),
        ("url_encode(null)", "url_encode needs text, not null"),
        ("parse_time('yesterday')", "parse_time needs a time in ISO 8601"),
        ("format_time(10 ** 20)", "knows the years 1 to 9999 only"),
        ("parse_json('{')", "parse_json needs JSON; this text stops being JSON at character 1"),
        ("to_json(2 ** 70)", "to_json"),
        ("merge({}, null)", "merge needs a map, not null"),
        ("chunk([1], 0)", "chunk needs a size of 1 or more"),
    ],
)
def test_a_function_refuses_with_its_rule(text: str, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(text)

    assert message in str(caught.value)


def test_generated_code_reaches_nothing_but_functions() -> None:
    assert all(name.startswith("hr_") and callable(value) for name, value in FUNCTIONS.items())
