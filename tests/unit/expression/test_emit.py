"""The source that expressions become."""

import pytest

from headrace.runtime.expression import Expression

from .evaluation import SOURCES, emitted, evaluate


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("event", "event_3"),
        ("event.user.id", 'event_3["user"]["id"]'),
        ('event["user name"].id', 'event_3["user name"]["id"]'),
        ("event.items[0].sku", 'event_3["items"][0]["sku"]'),
        ("event.tags[1:-1]", 'event_3["tags"][1:-1]'),
        ("event.amount > 100", '(event_3["amount"] > 100)'),
        ("0 < event.amount <= 100", '(0 < event_3["amount"] <= 100)'),
        ("event.a is not null", '(event_3["a"] is not None)'),
        ("event.a in ['x', 'y']", '(event_3["a"] in ["x", "y"])'),
        ("not event.a or event.b and true", '(not event_3["a"] or event_3["b"] and True)'),
        ("(event.a or event.b) and event.c", '((event_3["a"] or event_3["b"]) and event_3["c"])'),
        ("event.a + event.b", '(event_3["a"] + event_3["b"])'),
        ("event.a - (event.b - 1)", '(event_3["a"] - (event_3["b"] - 1))'),
        ("-event.a ** 2", '(-event_3["a"] ** 2)'),
        ("(-event.a) ** 2", '((-event_3["a"]) ** 2)'),
        ("event.price * event.quantity", '(+event_3["price"] * +event_3["quantity"])'),
        ("event.price * 100", '(+event_3["price"] * 100)'),
        ("event.price * 1.2", '(event_3["price"] * 1.2)'),
        ("len(event.items) * 2", '(hr_len(event_3["items"]) * 2)'),
        ("event.id % 10", '(+event_3["id"] % 10)'),
        ("event.a ** event.b", 'hr_power(event_3["a"], event_3["b"])'),
        ("'-' * 3", 'hr_repeat("-", 3)'),
        ("event.name.lower()", 'event_3["name"].lower()'),
        ("lower(event.name)", 'event_3["name"].lower()'),
        ("event.name.startswith(('a', 'b'))", 'event_3["name"].startswith(("a", "b",))'),
        ("event.name.replace('a', 'b')", 'hr_replace(event_3["name"], "a", "b")'),
        ("1 if event.a else 2", '(1 if event_3["a"] else 2)'),
        ("f'{event.id}: {event.price:.2f}'", "f\"{event_3['id']}: {event_3['price']:.2f}\""),
        ("get(event, 'a.b', 0)", 'hr_get_at(event_3, ("a", "b",), 0)'),
        ("event?.a", '(None if event_3 is None else event_3.get("a"))'),
        ("event.a?.b", 'hr_maybe(event_3["a"], "b")'),
        ("results.big.total", 'result_2["total"]'),
        ('results["big"].total', 'result_2["total"]'),
        ("run.id", "run_id"),
        ("secret.TOKEN", "secret_0"),
        ("secrets.TOKEN", "secret_0"),
        ("env.HOME", "env_HOME"),
        ("timestamp - 1000", "(timestamp - 1000)"),
        ("(event.a, 1)", '[event_3["a"], 1]'),
        ("{'a': event.a}", '{"a": event_3["a"]}'),
        (
            "[x.sku for x in event.items if x.n > 2]",
            '[v_x["sku"] for v_x in event_3["items"] if v_x["n"] > 2]',
        ),
        (
            "sum(x.p * x.q for x in event.items)",
            'hr_sum(+v_x["p"] * +v_x["q"] for v_x in event_3["items"])',
        ),
        ("any(x.a > 1 for x in event.items)", 'hr_any(v_x["a"] > 1 for v_x in event_3["items"])'),
    ],
)
def test_the_source_is_what_a_person_would_write(text: str, source: str) -> None:
    assert emitted(text) == source


def test_fields_named_like_keywords_are_fields() -> None:
    assert emitted("event.from.class.None") == 'event_3["from"]["class"]["None"]'


def test_the_longest_name_wins() -> None:
    names = {"event": "whole", "event.user": "user", "event.user.id": "user_id"}

    assert Expression.parse("event.user.id").emit(names) == "user_id"
    assert Expression.parse("event.user.name").emit(names) == 'user["name"]'
    assert Expression.parse("event.other").emit(names) == 'whole["other"]'


def test_a_path_that_no_name_covers_is_our_mistake() -> None:
    with pytest.raises(KeyError, match=r"results\.small\.total"):
        Expression.parse("results.small.total").emit(SOURCES)


def test_a_loop_that_multiplies_shares_one_budget() -> None:
    source = emitted("[[y for y in x] for x in event.rows]")

    assert source.count("hr_budget_of()") == 1
    assert source.count("hr_budget.over(") == 2


@pytest.mark.parametrize(
    "text",
    [
        "[x.sku.upper() for x in event.items]",
        "[f'{x.sku}-{x.n}' for x in event.items if x.sku.startswith('a') and x.n > event.n]",
        "{x.sku: {'n': [x.n, x.n + 1]} for x in event.items}",
        "any(lower(x.sku) == event.sku for x in event.items)",
    ],
)
def test_a_loop_over_its_own_elements_has_no_budget(text: str) -> None:
    assert "hr_budget" not in emitted(text)


@pytest.mark.parametrize(
    "text",
    [
        "[event.sku for x in event.items]",
        "['" + "-" * 200 + "' + x for x in event.items]",
        "[f'{x:>1000}' for x in event.items]",
        "[x.replace('a', 'bbb') for x in event.items]",
        "[x * [1] for x in event.items]",
        "[x for x in event.items if x in event.others]",
        "[x for x in event.items if lower(event.text) == x]",
    ],
)
def test_a_loop_that_could_build_much_has_a_budget(text: str) -> None:
    assert "hr_budget" in emitted(text)


def test_a_loop_that_builds_text_pays_for_it() -> None:
    assert "hr_budget.keep(f" in emitted("[f'{event.currency} {x.price}' for x in event.items]")


def test_text_and_lists_are_not_repeated_by_accident() -> None:
    with pytest.raises(TypeError):
        evaluate("event.a * event.b", {"a": "ab", "b": 3})


def test_text_that_is_written_out_is_repeated() -> None:
    assert evaluate("'ab' * event.b", {"b": 3}) == "ababab"
    assert evaluate("3 * [0]") == [0, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        """f"{event['it']}" """,
        """f"it's {event.it} \\"quoted\\" {{braces}} \\\\ \\n" """,
        """f"{event.it!="x"}" """.replace('"x"', "'x'"),
        """f"{event['#']}" """,
        """f"{'a' + "b".upper()}" """.replace('"b"', "'b'"),
        """f"{ {'a': event.it}['a'] }" """,
        """f"{[x for x in [1, 2]]} {1 if event.it else 2:>5}" """,
        """f"é {event.it:*^9} ü" """,
    ],
)
def test_f_strings_are_those_of_python(text: str) -> None:
    event = {"it": "value", "#": 1}
    python = text.replace("event.it", "event['it']").strip()

    assert evaluate(text, event) == eval(python, {"event": event})


@pytest.mark.parametrize(
    ("text", "nested"),
    [
        ("{}", "[{}]"),
        ("{}", "(1 + {})"),
        ("{}", "len([{}])"),
        ("{}", "not {}"),
        ("{}", "{{'a': {}}}"),
    ],
)
def test_the_deepest_expressions_can_be_compiled(text: str, nested: str) -> None:
    text = "1"
    for _ in range(24):
        text = nested.format(text)

    compile(emitted(text), "deep", "eval")
