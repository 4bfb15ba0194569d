"""Joins of two streams on the engine in memory against naive models, with faults between the records."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.property.engine import CUTS, Engine, Send, on_the_engine, sides, stage, trigger
from tests.property.models.joins import (
    Arrival,
    Kind,
    Result,
    Side,
    Streams,
    streams_at_once,
    streams_one_by_one,
)

KINDS: st.SearchStrategy[Kind] = st.sampled_from(("inner", "left", "outer"))
SIDES: st.SearchStrategy[Side] = st.sampled_from(("left", "right"))
STEPS = st.integers(-12, 15)
FAR_MS = 100_000
PARTITIONS = 2


@st.composite
def joins(draw: st.DrawFn, graces: Sequence[int] = (0, 0, 5, 20)) -> Streams:
    lengths = st.integers(0, 12)
    return Streams(draw(KINDS), draw(lengths), draw(lengths), draw(st.sampled_from(graces)))


@st.composite
def records(draw: st.DrawFn) -> list[Send]:
    """Records of two sides and a few keys in two partitions, out of order; some have no key, and some no event."""
    found: list[Send] = []
    times = [20] * PARTITIONS
    for i in range(draw(st.integers(0, 25))):
        partition = draw(st.integers(0, PARTITIONS - 1))
        times[partition] = max(times[partition] + draw(STEPS), 1)
        key = draw(st.sampled_from((f"a{partition}", f"a{partition}", f"b{partition}", None)))
        value = {"side": draw(SIDES), "n": i} if draw(st.integers(0, 15)) else None
        found.append(Send("in", value, times[partition], key, partition, draw(CUTS)))
    return found


def config(join: Streams) -> dict[str, Any]:
    return {
        "left": "left",
        "right": "right",
        "type": join.kind,
        "within": {"before": f"{join.before_ms}ms", "after": f"{join.after_ms}ms"},
        "grace": f"{join.grace_ms}ms",
        "late": {"topic": "late"},
        "value": '{"pair": [left?.n, right?.n], "at": timestamp}',
    }


def arrivals(sent: Sequence[Send], partition: int) -> list[Arrival]:
    """The records of a partition; those without key or event only move the watermark."""
    return [
        Arrival(one.value["side"], one.value["n"], one.time_ms, one.key)
        if one.value is not None and one.key is not None
        else Arrival("none", i, one.time_ms)
        for i, one in enumerate(sent)
        if one.partition == partition
    ]


def shown(results: Sequence[Result]) -> list[Any]:
    return sorted(({"pair": [left, right], "at": at} for left, right, at in results), key=repr)


@given(joins(), records())
@on_the_engine
def test_streams_give_what_the_model_gives_whatever_goes_wrong(
    join: Streams, sent: list[Send]
) -> None:
    ticks = [Send("in", {"side": "none"}, FAR_MS, "tick", i) for i in range(PARTITIONS)]
    flow = [*sides("left", "right"), *stage("join", config(join))]
    with Engine(flow, {"in": PARTITIONS, "out": PARTITIONS, "late": PARTITIONS}) as plain:
        plain.play([*sent, *ticks], has_faults=False)
        plain_results, plain_late = plain.by_key(), plain.by_key("late")
    with Engine(flow, {"in": PARTITIONS, "out": PARTITIONS, "late": PARTITIONS}) as engine:
        engine.play([*sent, *ticks])

        assert engine.left() == {}
        assert engine.by_key() == plain_results
        assert engine.by_key("late") == plain_late
        # Both filters fail on an event that is null.
        lost = [2 if one.value is None else 1 for one in sent if None in (one.value, one.key)]
        assert len(engine.failed()) == sum(lost)
    results: list[Result] = []
    too_late: list[Any] = []
    for partition in range(PARTITIONS):
        steps, late_there = streams_one_by_one(join, arrivals(sent, partition), FAR_MS)
        results += [result for step in steps for result in step]
        too_late += late_there
    assert sorted((v for vs in plain_results.values() for v, _ in vs), key=repr) == shown(results)
    assert sorted(v["n"] for vs in plain_late.values() for v, _ in vs) == sorted(too_late)


@st.composite
def two_topics(draw: st.DrawFn) -> list[Send]:
    """Records of two topics, in any partition, as `records` has them; none has more than 300 ms to its neighbours."""
    found: list[Send] = []
    for i in range(draw(st.integers(0, 25))):
        side = draw(SIDES)
        partition = draw(st.integers(0, PARTITIONS - 1))
        key = draw(st.sampled_from(("a", "b", "c")))
        found.append(
            Send(side, {"n": i, "key": key}, draw(st.integers(1, 60)), key, partition, draw(CUTS))
        )
    return found


@given(joins(graces=(1_000,)), two_topics(), st.booleans())
@on_the_engine
def test_streams_of_two_topics_give_all_pairs_in_whatever_order_they_are_read(
    join: Streams, sent: list[Send], is_repartitioned: bool
) -> None:
    """With keys of their own, records meet in their partition; by `left_key` and `right_key`, in that of the key."""
    by = {"left_key": "event.key", "right_key": "event.key"} if is_repartitioned else {}
    ticks = [
        Send(side, {"n": -1, "key": f"tick {side} {i}"}, FAR_MS, f"tick {side}", i)
        for side in ("left", "right")
        for i in range(PARTITIONS)
    ]
    again = [one._replace(time_ms=2 * FAR_MS) for one in ticks]
    flow = [trigger("left", "it"), trigger("right", "it"), *stage("join", config(join) | by)]
    with Engine(flow, {"left": PARTITIONS, "right": PARTITIONS, "late": 1}) as engine:
        engine.play([*sent, *ticks, *again])

        found = [r.value for r in engine.records() if not str(r.key).startswith("tick")]
        assert engine.records("late") == []
        assert engine.failed() == []
        engine.check_stores()
    expected: list[Result] = []
    for partition in (0,) if is_repartitioned else range(PARTITIONS):
        of_partition = [
            Arrival(
                "left" if one.topic == "left" else "right", one.value["n"], one.time_ms, one.key
            )
            for one in sent
            if is_repartitioned or one.partition == partition
        ]
        expected += streams_at_once(join, of_partition)
    assert sorted(found, key=repr) == shown(expected)
