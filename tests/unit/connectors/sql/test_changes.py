"""Many changes as few steps, against doing one after the other."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.connectors.sql.changes import Change, Clear, Put, Remove, steps_of
from headrace.connectors.sql.envelope import changes_of, is_envelope
from headrace.runtime.errors import RecordError

Rows = dict[Any, dict[str, Any]]

keys = st.integers(0, 3)
changes = st.lists(
    st.one_of(
        st.builds(lambda k, a, b: Put((k,), {"k": k, "a": a, "b": b}), keys, keys, keys),
        st.builds(lambda k, a: Put((k,), {"k": k, "a": a}, is_whole=False), keys, keys),
        st.builds(lambda k: Remove((k,), {"k": k}), keys),
        st.just(Clear()),
    ),
    max_size=30,
)


def one_by_one(rows: Rows, made: list[Change]) -> None:
    for change in made:
        if isinstance(change, Clear):
            rows.clear()
        elif isinstance(change, Remove):
            rows.pop(change.row["k"], None)
        elif change.is_whole:
            rows[change.row["k"]] = dict(change.row)
        elif change.row["k"] in rows:
            rows[change.row["k"]].update(change.row)


@settings(max_examples=400)
@given(changes, st.sets(keys))
def test_steps_leave_what_the_changes_would(made: list[Change], held: set[int]) -> None:
    expected: Rows = {k: {"k": k, "a": 9, "b": 9} for k in held}
    rows: Rows = {k: dict(row) for k, row in expected.items()}

    one_by_one(expected, made)
    for step in steps_of(made):
        if step.kind == "clear":
            rows.clear()
        for row in step.rows:
            assert tuple(sorted(row)) == tuple(sorted(step.columns))
            if step.kind == "delete":
                rows.pop(row["k"], None)
            elif step.kind == "upsert":
                rows[row["k"]] = dict(row)
            elif row["k"] in rows:
                rows[row["k"]].update(row)

    assert rows == expected


def test_each_key_is_in_a_step_once() -> None:
    steps = steps_of([Put((1,), {"k": 1}), Put((2,), {"k": 2}), Put((1,), {"k": 1})])

    assert [(step.kind, step.rows) for step in steps] == [("upsert", ({"k": 2}, {"k": 1}))]


def test_an_update_after_a_deletion_that_lacks_values_updates_nothing_that_is_gone() -> None:
    steps = steps_of([Remove((1,), {"k": 1}), Put((1,), {"k": 1, "a": 2}, is_whole=False)])

    assert [step.kind for step in steps] == ["delete"]


@pytest.mark.parametrize(
    ("event", "is_one"),
    [
        ({"op": "c", "after": {"id": 1}}, True),
        ({"op": "t", "source": {}}, True),
        ({"schema": {}, "payload": {"op": "d", "before": {}}}, True),
        ({"op": "x", "after": {}}, False),
        ({"op": "c"}, False),
        ({"id": 1}, False),
        ([1], False),
    ],
)
def test_envelopes_are_recognised(event: Any, is_one: bool) -> None:
    assert is_envelope(event) is is_one


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"op": "d", "before": None}, "has no 'before'"),
        ({"op": "d", "before": {"name": "x"}}, "'before' has no 'id' of the key; it has name"),
        ({"op": "c", "after": None}, "needs an event with op"),
        ({"op": "c", "after": {"name": "x"}}, "'after' has no 'id'"),
    ],
)
def test_an_envelope_that_lacks_something_is_explained(event: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        changes_of(event, ["id"])


def test_messages_change_nothing() -> None:
    assert changes_of({"op": "m"}, ["id"]) == []
