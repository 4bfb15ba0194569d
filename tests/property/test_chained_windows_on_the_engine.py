"""Windows behind windows, behind dedupe, and behind split and collect: what one stage sends is in time for the next one."""

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.models.kinds import Kind
from tests.property.models.windows import Record
from tests.property.windowed_flow import (
    Arrival,
    Step,
    WindowedFlow,
    arrivals,
    by_key,
    document,
    small_batches,
    steps,
)

KINDS = (
    Kind("tumbling", 10),
    Kind("hopping", 30, 10),
    Kind("sliding", 20),
    Kind("session", 5),
)
FIELDS = {"n": "count()", "values": 'collect(event.n, 1000, "last")'}
HOUR_MS = 120

kinds = st.sampled_from(KINDS)
graces = st.sampled_from((0, 5, 30))
sizes = st.tuples(st.sampled_from((1, 2, 100)), st.sampled_from((1, 3, 5_000)))


def counting(kind: Kind, grace: int, **config: Any) -> dict[str, Any]:
    return {
        "name": "counted",
        "action": "reduce",
        "config": {
            "window": kind.config,
            "aggregate": FIELDS,
            "grace": f"{grace}ms",
            "emit": "final",
            **config,
        },
    }


def hourly(**config: Any) -> dict[str, Any]:
    """A stage that counts results; whatever comes too late for it is a mistake."""
    return {
        "name": "hourly",
        "action": "reduce",
        "config": {
            "window": {"tumbling": f"{HOUR_MS}ms"},
            "aggregate": {"n": "sum(event.n)", "ends": "collect(event.end)"},
            "late": {"topic": "late"},
            "emit": "final",
            **config,
        },
    }


def hours(kind: Kind, sent: list[Arrival], grace: int) -> dict[tuple[str, int], tuple[int, Any]]:
    """By key and hour, how many records the windows hold that belong to it, and the ends of these."""
    found: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for key, of_key in by_key(sent).items():
        for result in kind.finals([one.record for one in of_key], grace)[0]:
            hour = kind.event_time(result) // HOUR_MS * HOUR_MS
            found[key, hour].append((result[1], len(result[2])))
    return {
        place: (sum(n for _, n in results), sorted(end for end, _ in results))
        for place, results in found.items()
    }


def received_hours(flow: WindowedFlow) -> dict[tuple[str, int], tuple[int, Any]]:
    events = [(key, event) for key, events in flow.events().items() for event in events]
    found = {(key, event["start"]): (event["n"], sorted(event["ends"])) for key, event in events}
    assert len(found) == len(events), "a window was sent twice"
    return found


@settings(deadline=None)  # a first example compiles
@given(kinds, graces, steps(2), sizes)
def test_hours_of_minutes_have_every_minute(
    kind: Kind, grace: int, walk: list[Step], batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    flow_of = document(counting(kind, grace), hourly())
    with small_batches(*batches), WindowedFlow(flow_of, 2) as flow:
        flow.play(sent)
        flow.end()
        flow.end(at_ms=6_000_000)

        assert received_hours(flow) == hours(kind, sent, grace)
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(
    kinds,
    graces,
    st.sampled_from(("updates", {"every": "1s"})),
    st.sampled_from(({}, {"key": "'all'"})),
    steps(3, cuts=("", "run", "run", "work", "fail", "restart", "tick")),
    sizes,
)
def test_updates_are_never_late_for_the_next_window(
    kind: Kind,
    grace: int,
    emit: Any,
    key: dict[str, str],
    walk: list[Step],
    batches: tuple[int, int],
) -> None:
    """The updates of a session that become part of another one have no count; a filter leaves them out."""
    real = {"name": "real", "action": "filter", "config": {"where": "event?.merged_into is null"}}
    flow_of = document(counting(kind, grace, emit=emit), real, hourly(**key))
    with small_batches(*batches), WindowedFlow(flow_of, 3) as flow:
        flow.play(arrivals(walk))
        flow.end()
        flow.end(at_ms=6_000_000)
        flow.receive()

        assert flow.late == []
        assert [letter for letter in flow.test.dead_letters() if letter.stage != "counted"] == []


@settings(deadline=None)  # a first example compiles
@given(kinds, graces, steps(2), sizes)
def test_a_filter_behind_windows_sees_each_result_once(
    kind: Kind, grace: int, walk: list[Step], batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    many = {"name": "many", "action": "filter", "config": {"where": "event.n > 1"}}
    flow_of = document(counting(kind, grace), many)
    with small_batches(*batches), WindowedFlow(flow_of, 2) as flow:
        flow.play(sent)
        flow.end()

        found = sorted(
            (key, event["start"], event["end"], event["values"])
            for key, events in flow.events().items()
            for event in events
        )
        assert found == sorted(
            (key, *result)
            for key, of_key in by_key(sent).items()
            for result in kind.finals([one.record for one in of_key], grace)[0]
            if len(result[2]) > 1
        )


@settings(deadline=None)  # a first example compiles
@given(kinds, steps(2), st.lists(st.integers(0, 3), min_size=40, max_size=40), sizes)
def test_duplicates_are_in_no_window(
    kind: Kind, walk: list[Step], identities: list[int | None], batches: tuple[int, int]
) -> None:
    """Records in order, of which those are duplicates that come less than 25 ms after one of the same key and identity."""
    sent = arrivals(walk, disorder=0)
    once = {
        "name": "once",
        "action": "dedupe",
        "config": {"by": "event.v", "within": "25ms"},
    }
    flow_of = document(once, counting(kind, 0))
    with small_batches(*batches), WindowedFlow(flow_of, 2, values=identities) as flow:
        flow.play(sent)
        flow.end()

        expected = []
        for key, of_key in by_key(sent).items():
            passed: dict[int | None, int] = {}
            records = []
            for one in of_key:
                identity = identities[one.number]
                if identity not in passed or one.time - passed[identity] >= 25:
                    passed[identity] = one.time
                    records.append(Record(one.time, one.number, -1))
            expected += [(key, *result) for result in kind.finals(records, 0)[0]]
        found = [
            (key, event["start"], event["end"], event["values"])
            for key, events in flow.events().items()
            for event in events
        ]
        assert sorted(found) == sorted(expected)


@settings(deadline=None)  # a first example compiles
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 30),
            st.integers(0, 3),
            st.sampled_from(("", "run", "work", "fail", "restart")),
        ),
        max_size=25,
    ),
    sizes,
)
def test_what_was_split_and_collected_is_counted_where_it_belongs(
    orders: list[tuple[int, int, int, str]], batches: tuple[int, int]
) -> None:
    flow_of = document(
        {"name": "lines", "action": "split", "config": {"items": "event.lines"}},
        {"name": "price", "action": "map", "config": {"set": {"cost": "event.lines * 2"}}},
        {"name": "whole", "action": "collect", "config": {"item": "event.cost"}},
        {
            "name": "spent",
            "action": "reduce",
            "config": {
                "key": "'all'",
                "window": {"tumbling": "50ms"},
                "aggregate": {"n": "count()", "spent": "sum(sum(event.items))"},
                "late": {"topic": "late"},
                "emit": "final",
            },
        },
    )
    times = dict.fromkeys(range(3), 1_000)
    expected: dict[int, tuple[int, int]] = {}
    with small_batches(*batches), WindowedFlow(flow_of, 3) as flow:
        for partition, ms, count, cut in orders:
            times[partition] += ms
            time, lines = times[partition], list(range(count))
            flow.test.send("in", {"lines": lines}, partition=partition, timestamp=time)
            if lines:
                n, spent = expected.get(time // 50 * 50, (0, 0))
                expected[time // 50 * 50] = n + 1, spent + 2 * sum(lines)
            flow.cut(cut, partition)
        for at_ms in (5_000_000, 6_000_000):
            for partition in range(3):
                flow.test.send("in", {"lines": [0]}, partition=partition, timestamp=at_ms)
            flow.test.run()

        found = {
            event["start"]: (event["n"], event["spent"])
            for event in flow.events().get("all", [])
            if event["start"] < 5_000_000
        }
        assert found == expected
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(graces, steps(2), st.sampled_from(((20, 10), (30, 10), (12, 4))), sizes)
def test_hopping_windows_are_merged_tumbling_ones(
    grace: int, walk: list[Step], lengths: tuple[int, int], batches: tuple[int, int]
) -> None:
    """Where nothing is late: the windows of `every` that a hopping one covers have its records between them."""
    size, every = lengths
    sent = arrivals(walk, disorder=grace)
    counts: list[dict[tuple[str, int], list[int]]] = []
    for kind in (Kind("tumbling", every), Kind("hopping", size, every)):
        with small_batches(*batches), WindowedFlow(document(counting(kind, grace)), 2) as flow:
            flow.play(sent)
            flow.end()
            counts.append(
                {
                    (key, event["start"]): event["values"]
                    for key, events in flow.events().items()
                    for event in events
                }
            )

    small, large = counts
    merged: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (key, start), values in sorted(small.items()):
        for begin in range(start - size + every, start + every, every):
            merged[key, begin] += values
    assert large == merged
