"""Joins with tables, and `hydrate`, on the engine in memory against naive models, with faults between the records."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.partitioning import partition_of
from tests.property.engine import CUTS, Engine, Send, on_the_engine, sides, stage, trigger
from tests.property.models.joins import Arrival, Kind, Side, by_foreign_key, row_as_of, tables

PARTITIONS = 2
FAR_MS = 100_000
TOPICS = {"in": PARTITIONS, "left": PARTITIONS, "rows": PARTITIONS, "out": PARTITIONS, "late": 1}
SIDES: st.SearchStrategy[Side] = st.sampled_from(("left", "right"))
VALUE = '{"left": left?.n, "right": right?.n}'


@st.composite
def in_order(draw: st.DrawFn, rows: str = "rows", deletes: bool = True) -> list[Send]:
    """Records of `left` and rows of a table, at rising times in each partition, a row before a record of its time."""
    found: list[Send] = []
    now = 10
    for i in range(draw(st.integers(0, 25))):
        now += draw(st.integers(1, 10))
        topic = draw(st.sampled_from(("left", rows)))
        key = draw(st.sampled_from("12"))
        is_deleted = topic == rows and deletes and not draw(st.integers(0, 3))
        partition = partition_of(key.encode(), PARTITIONS)
        value = None if is_deleted else {"n": i, "key": key}
        found.append(Send(topic, value, now, key, partition, draw(CUTS)))
    return found


@st.composite
def out_of_order(draw: st.DrawFn, *, deletes: bool = True) -> list[Send]:
    """Records of two sides in one topic, whose times go back and forth."""
    found: list[Send] = []
    times = [20] * PARTITIONS
    for i in range(draw(st.integers(0, 25))):
        partition = draw(st.integers(0, PARTITIONS - 1))
        times[partition] = max(times[partition] + draw(st.integers(-12, 15)), 1)
        key = draw(st.sampled_from((f"a{partition}", f"b{partition}")))
        value: dict[str, Any] = {"side": draw(SIDES), "n": i, "row": {"n": i}}
        if deletes and not draw(st.integers(0, 3)):
            value["row"] = None
        found.append(Send("in", value, times[partition], key, partition, draw(CUTS)))
    return found


def ticks() -> list[Send]:
    return [Send("in", {"side": "none"}, FAR_MS, f"tick {i}", i) for i in range(PARTITIONS)]


def with_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Behind the filters of `sides`, the row in place of the event: null is a deletion."""
    stages: list[dict[str, Any]] = []
    for one in found:
        if one["name"] in ("left", "right"):
            one = {**one, "out": f"{one['name']}_rows"}
            rows = {
                "name": one["out"],
                "action": "map",
                "config": {"value": "event.row"},
                "out": "it",
            }
            stages += [one, rows]
        else:
            stages.append(one)
    return stages


@given(st.sampled_from(("inner", "left")), in_order())
@on_the_engine
def test_each_record_meets_the_row_of_its_time(kind: Kind, sent: list[Send]) -> None:
    config = {"right": {"table": "rows"}, "type": kind, "value": VALUE}
    expected, rows = list[Any](), dict[str | None, Any]()
    for one in sent:
        if one.topic == "rows":
            rows[one.key] = one.value
        elif rows.get(one.key) or kind == "left":
            row = rows.get(one.key)
            expected.append(({"left": one.value["n"], "right": row and row["n"]}, one.time_ms))
    with Engine([trigger("left", "it"), *stage("join", config)], TOPICS) as engine:
        engine.play(sent)

        found = [pair for pairs in engine.by_key().values() for pair in pairs]
        assert sorted(found, key=repr) == sorted(expected, key=repr)
        assert engine.failed() == []
        engine.check_stores()


@given(st.sampled_from(("pass", "drop", "fail", "other")), in_order(), st.booleans())
@on_the_engine
def test_hydrate_adds_the_row_of_its_time_or_does_what_missing_says(
    missing: str, sent: list[Send], is_keyed: bool
) -> None:
    config = {"table": "rows", "missing": missing, "into": "row", "select": ["n"]}
    if is_keyed:
        config["key"] = "event.key"
    other = {"name": "other", "action": "publish", "config": {"topic": "other"}}
    with_other = [other] if missing == "other" else []
    rows = dict[str | None, Any]()
    expected, absent = list[Any](), list[Any]()
    for one in sent:
        if one.topic == "rows":
            rows[one.key] = one.value and {"n": one.value["n"]}
        elif rows.get(one.key):
            expected.append({**one.value, "row": rows[one.key]})
        else:
            absent.append(one.value)
    if missing == "pass":
        expected += [{**event, "row": None} for event in absent]
    # Behind a repartition topic a record comes a commit later: all rows up to its time must be there, and none after.
    steps = [
        one if one.cut in ("fail", "refuse") or not is_keyed else one._replace(cut="commit")
        for one in sent
    ]
    topics = {**TOPICS, "other": 1}
    with Engine([trigger("left", "it"), *stage("hydrate", config), *with_other], topics) as engine:
        engine.play(steps)

        assert sorted((r.value for r in engine.records()), key=repr) == sorted(expected, key=repr)
        others = [r.value for r in engine.records("other")]
        assert sorted(others, key=repr) == sorted(absent if missing == "other" else [], key=repr)
        assert len(engine.failed()) == (len(absent) if missing == "fail" else 0)
        engine.check_stores()


@given(st.lists(in_order("countries"), min_size=1, max_size=3))
@on_the_engine
def test_a_global_table_has_the_rows_of_all_partitions_for_records_that_come_later(
    phases: list[list[Send]],
) -> None:
    config = {
        "right": {"table": "countries", "global": True},
        "left_key": "event.key",
        "type": "left",
        "value": VALUE,
    }
    flow = [trigger("left", "it"), *stage("join", config)]
    expected, rows = list[Any](), dict[str | None, Any]()
    with Engine(flow, {**TOPICS, "countries": PARTITIONS}) as engine:
        for phase in phases:
            changes = [one for one in phase if one.topic == "countries"]
            engine.play(changes)
            for one in changes:
                rows[one.key] = one.value
            # Their own partitions are others than those of the rows, and their own keys are others.
            records = [one._replace(key=None, partition=0) for one in phase if one.topic == "left"]
            engine.play(records)
            for one in records:
                row = rows.get(one.value["key"])
                expected.append({"left": one.value["n"], "right": row and row["n"]})

        assert sorted((r.value for r in engine.records()), key=repr) == sorted(expected, key=repr)
        assert engine.failed() == []


@given(st.sampled_from(("inner", "left")), out_of_order(), st.sampled_from((5, 30, 1_000)))
@on_the_engine
def test_as_of_gives_the_valid_row_the_same_whatever_goes_wrong(
    kind: Kind, sent: list[Send], history_ms: int
) -> None:
    config = {
        "left": "left_rows",
        "right": "right_rows",
        "as": {"right": "table"},
        "as_of": True,
        "history": f"{history_ms}ms",
        "type": kind,
        "late": {"topic": "late"},
        "value": VALUE,
    }
    # A record that is null would be an error; a row that is null is a deletion.
    sent = [
        one._replace(value={**one.value, "row": {"n": one.value["n"]}})
        if one.value["side"] == "left"
        else one
        for one in sent
    ]
    flow = with_rows([*sides("left", "right"), *stage("join", config)])
    with Engine(flow, TOPICS) as plain:
        plain.play([*sent, *ticks()], has_faults=False)
        results, late = plain.by_key(), plain.by_key("late")
        assert plain.failed() == []
    with Engine(flow, TOPICS) as engine:
        engine.play([*sent, *ticks()])

        assert engine.by_key() == results
        assert engine.by_key("late") == late
        left = engine.left()
    if history_ms < 1_000:
        return
    expected, latest = dict[str | None, Any](), dict[str | None, Any]()
    versions = dict[str | None, list[Arrival]]()
    for one in sent:
        known = versions.setdefault(one.key, [])
        row = one.value["row"] and one.value["row"]["n"]
        if one.value["side"] == "right":
            known.append(Arrival("right", row, one.time_ms))
            latest[one.key] = row_as_of(known, FAR_MS)
            continue
        row = row_as_of(known, one.time_ms)
        if row is not None or kind == "left":
            result = ({"left": one.value["n"], "right": row}, one.time_ms)
            expected.setdefault(one.key, []).append(result)
    assert results == expected
    # Of each key one version is left, or none where that is a deletion.
    assert sum(left.values()) == sum(row is not None for row in latest.values())


@given(st.sampled_from(("inner", "left", "outer")), out_of_order())
@on_the_engine
def test_two_tables_give_every_change_of_the_model_whatever_goes_wrong(
    kind: Kind, sent: list[Send]
) -> None:
    config = {
        "left": "left_rows",
        "right": "right_rows",
        "as": {"left": "table", "right": "table"},
        "type": kind,
        "value": VALUE,
    }
    with Engine(with_rows([*sides("left", "right"), *stage("join", config)]), TOPICS) as engine:
        engine.play(sent)

        found = {key: [v for v, _ in results] for key, results in engine.by_key().items()}
        engine.table()
        engine.check_stores()
    expected = dict[str | None, list[Any]]()
    for key in {one.key for one in sent}:
        changes = [
            Arrival(one.value["side"], one.value["row"] and one.value["n"], one.time_ms)
            for one in sent
            if one.key == key
        ]
        given = [r and {"left": r[0], "right": r[1]} for r in tables(kind, changes)]
        if given:
            expected[key] = given
    assert found == expected


@st.composite
def foreign_changes(draw: st.DrawFn) -> list[Send]:
    """Changes of orders that name customers, and of customers."""
    found: list[Send] = []
    for i in range(draw(st.integers(0, 25))):
        topic = draw(st.sampled_from(("orders", "customers")))
        key = draw(st.sampled_from(("1", "2", "3")))
        by = draw(st.sampled_from((None, "1", "2", "x")))
        row: Mapping[str, Any] = {"n": i, "by": by} if topic == "orders" else {"n": i}
        value = row if draw(st.integers(0, 3)) else None
        partition = partition_of(key.encode(), PARTITIONS)
        found.append(Send(topic, value, i + 1, key, partition, draw(CUTS)))
    return found


@given(st.sampled_from(("inner", "left")), foreign_changes())
@on_the_engine
def test_a_foreign_key_join_ends_with_the_table_of_the_model(kind: Kind, sent: list[Send]) -> None:
    config = {
        "left": "orders",
        "right": "customers",
        "as": {"left": "table", "right": "table"},
        "foreign_key": "event.by",
        "type": kind,
        "value": VALUE,
    }
    flow = [trigger("orders", "it"), trigger("customers", "it"), *stage("join", config)]
    topics = {"orders": PARTITIONS, "customers": PARTITIONS, "out": PARTITIONS}
    with Engine(flow, topics) as engine:
        engine.play(sent)

        found = engine.table()
        assert engine.failed() == []
        engine.check_stores()
    orders: dict[bytes, Any] = {}
    customers: dict[bytes, Any] = {}
    for one in sent:
        table = orders if one.topic == "orders" else customers
        table.pop(str(one.key).encode(), None)
        if one.value is not None:
            by = one.value.get("by")
            row = one.value["n"]
            table[str(one.key).encode()] = (row, by and by.encode()) if table is orders else row
    expected = by_foreign_key(kind, orders, customers)
    assert found == {
        key.decode(): {"left": left, "right": right} for key, (left, right) in expected.items()
    }
