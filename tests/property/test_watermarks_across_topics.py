"""Behind a repartition topic nothing is late that was not late in its own source partition, however partitions are read."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.models.kinds import Kind, starts
from tests.property.models.watermarks import watermarks_behind
from tests.property.models.windows import Record
from tests.property.windowed_flow import (
    BEGIN_MS,
    CUTS,
    Arrival,
    Step,
    WindowedFlow,
    arrivals,
    document,
    small_batches,
    steps,
)

PARTITIONS = 4
KEYS = ("a", "a", "b", "c")
KINDS = (
    Kind("tumbling", 10),
    Kind("tumbling", 60),
    Kind("hopping", 30, 10),
    Kind("sliding", 20),
    Kind("session", 7),
)
FIELDS = {"n": "count()", "values": 'collect(event.n, 1000, "last")'}
NO_IDLENESS = (*CUTS, "run")
WITH_IDLENESS = (*CUTS, "wait", "wait", "tick")

graces = st.sampled_from((0, 1, 20))
sizes = st.tuples(st.sampled_from((1, 3, 100)), st.sampled_from((1, 3, 5_000)))
Windows = dict[str, dict[tuple[int, int], list[int]]]


def grouped(kind: Kind, grace: int, **config: Any) -> dict[str, Any]:
    return {
        "name": "grouped",
        "action": "reduce",
        "config": {
            "key": "event.u",
            "window": kind.config,
            "aggregate": FIELDS,
            "grace": f"{grace}ms",
            "late": {"topic": "late"},
            "emit": "final",
            **config,
        },
    }


def one_by_one(sent: list[Arrival]) -> list[Arrival]:
    """The same records, all of partition 0 first, then all of partition 1, and so on."""
    return sorted(sent, key=lambda one: one.partition)


def windows(flow: WindowedFlow) -> Windows:
    """What was received, by key and window; each window may be there once."""
    found: Windows = defaultdict(dict)
    for key, events in flow.events().items():
        for event in events:
            assert event["n"] == len(event["values"])
            window = event["start"], event["end"]
            assert window not in found[key], f"{key} {window} was sent twice"
            found[key][window] = sorted(event["values"])
    return dict(found)


def expected(kind: Kind, sent: Iterable[Arrival]) -> Windows:
    """All windows, where nothing is late."""
    records: dict[str, list[Record]] = defaultdict(list)
    for one in sent:
        if one.key is not None and not one.is_tombstone:
            records[one.key].append(Record(one.time, one.number, -1))
    return {
        key: {(start, end): sorted(values) for start, end, values in kind.finals(of_key, 0)[0]}
        for key, of_key in records.items()
    }


@settings(deadline=None)  # a first example compiles
@given(
    st.sampled_from(KINDS),
    graces,
    steps(PARTITIONS, keys=KEYS, cuts=NO_IDLENESS),
    st.booleans(),
    sizes,
)
def test_nothing_is_dropped_when_no_partition_is_out_of_order_by_more_than_the_grace(
    kind: Kind, grace: int, walk: list[Step], is_one_by_one: bool, batches: tuple[int, int]
) -> None:
    sent = arrivals(walk, disorder=grace)
    sent = one_by_one(sent) if is_one_by_one else sent
    with small_batches(*batches), WindowedFlow(document(grouped(kind, grace)), PARTITIONS) as flow:
        flow.play(sent, own_keys=False)
        flow.end()

        assert windows(flow) == expected(kind, sent)
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(
    st.sampled_from([kind for kind in KINDS if kind.name in ("tumbling", "hopping")]),
    graces,
    steps(PARTITIONS, keys=KEYS, cuts=WITH_IDLENESS),
    st.booleans(),
    sizes,
)
def test_only_what_is_late_by_the_slowest_partition_that_is_not_idle_is_dropped(
    kind: Kind, grace: int, walk: list[Step], is_one_by_one: bool, batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    sent = one_by_one(sent) if is_one_by_one else sent
    with small_batches(*batches), WindowedFlow(document(grouped(kind, grace)), PARTITIONS) as flow:
        flow.play(sent, own_keys=False)
        flow.end()
        found, late = windows(flow), flow.late_numbers()

        good = [one for one in sent if one.key is not None and not one.is_tombstone]
        reached = dict(
            zip((one.number for one in sent), watermarks_behind(sent, PARTITIONS), strict=True)
        )
        surely: dict[tuple[str, int], set[int]] = defaultdict(set)
        perhaps: dict[tuple[str, int], set[int]] = defaultdict(set)
        for one in good:
            for start in starts(one.time, kind.size, kind.every or kind.size):
                perhaps[str(one.key), start].add(one.number)
                if start + kind.size + grace > reached[one.number]:
                    surely[str(one.key), start].add(one.number)
        counted = {
            (key, start): set(values)
            for key, of_key in found.items()
            for (start, _), values in of_key.items()
        }
        for place, numbers in perhaps.items():
            assert surely[place] <= counted.get(place, set()) <= numbers
        assert counted.keys() <= perhaps.keys()
        taken = {number for numbers in counted.values() for number in numbers}
        assert taken | set(late) == {one.number for one in good}
        assert not taken & set(late)


@settings(deadline=None)  # a first example compiles
@given(
    graces,
    steps(PARTITIONS - 1, keys=KEYS, cuts=NO_IDLENESS),
    st.sampled_from(("", "fail", "restart", "work")),
    st.booleans(),
)
def test_an_empty_partition_holds_windows_until_it_counts_as_idle(
    grace: int, walk: list[Step], fault: str, is_failing: bool
) -> None:
    sent = arrivals(walk, disorder=grace)
    kind = Kind("tumbling", 10)
    with WindowedFlow(document(grouped(kind, grace)), PARTITIONS) as flow:
        flow.play(sent, own_keys=False)
        flow.end(range(PARTITIONS - 1))
        assert windows(flow) == {}

        flow.cut(fault, 0)
        flow.test.run()
        if is_failing:
            flow.test.faults.fail_next_commit()
        flow.test.advance("11s")

        assert windows(flow) == expected(kind, sent)
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(
    graces,
    steps(2, keys=KEYS, cuts=("", "", "run", "work", "fail"), ms=st.integers(0, 40)),
    st.lists(st.sampled_from(CUTS), max_size=5),
)
def test_a_partition_that_fell_silent_holds_nobody_up_and_may_come_back(
    grace: int, walk: list[Step], cuts: list[str]
) -> None:
    """Partition 2 has one old record, falls silent alone, and goes on behind the newest record of the others."""
    kind = Kind("tumbling", 10)
    old = Arrival(2, "c", 50, 999, 50, False, "run")
    begun = [Arrival(n, "c", BEGIN_MS, 997 + n, BEGIN_MS, False, "run") for n in range(2)]
    sent = arrivals(walk, disorder=grace)
    newest = max((one.time for one in sent), default=BEGIN_MS)
    back = [
        Arrival(2, "a", newest + i, 1_000 + i, newest + i, False, cut) for i, cut in enumerate(cuts)
    ]
    with WindowedFlow(document(grouped(kind, grace)), 3) as flow:
        flow.play([old], own_keys=False)
        flow.test.advance("9s")
        flow.play(begun, own_keys=False)
        assert windows(flow) == {}
        flow.test.advance("2s")
        assert windows(flow) == {"c": {(50, 60): [999]}}

        flow.play([*sent, *back], own_keys=False)
        flow.end()

        assert windows(flow) == expected(kind, [old, *begun, *sent, *back])
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(
    steps(3, keys=KEYS, cuts=CUTS, size=30),
    graces,
    st.sampled_from((Kind("tumbling", 10), Kind("hopping", 30, 10))),
    sizes,
)
def test_two_repartition_topics_in_a_row_lose_nothing(
    walk: list[Step], grace: int, kind: Kind, batches: tuple[int, int]
) -> None:
    sent = arrivals(walk, disorder=grace)
    hourly = {
        "name": "hourly",
        "action": "reduce",
        "config": {
            "key": "'all'",
            "window": {"tumbling": "120ms"},
            "aggregate": {"n": "sum(event.n)", "values": "collect(event.start)"},
            "late": {"topic": "late"},
            "emit": "final",
        },
    }
    with (
        small_batches(*batches),
        WindowedFlow(document(grouped(kind, grace, late=None), hourly), 3) as flow,
    ):
        flow.play(sent, own_keys=False)
        flow.end()
        flow.end(at_ms=6_000_000)
        flow.end(at_ms=7_000_000)
        totals = {
            event["start"]: (event["n"], sorted(event["values"]))
            for event in flow.events().get("all", [])
            if event["start"] < 4_000_000
        }

        first = expected(kind, sent)
        hours: dict[int, tuple[int, list[int]]] = {}
        for of_key in first.values():
            for (start, end), values in of_key.items():
                hour = (end - 1) // 120 * 120
                n, starts_so_far = hours.get(hour, (0, []))
                hours[hour] = n + len(values), sorted([*starts_so_far, start])
        assert totals == hours
        assert flow.late_numbers() == []


@settings(deadline=None)  # a first example compiles
@given(steps(2, keys=KEYS, cuts=NO_IDLENESS), steps(4, keys=KEYS, cuts=NO_IDLENESS), graces)
def test_partitions_that_are_added_later_are_waited_for(
    walk: list[Step], later: list[Step], grace: int
) -> None:
    kind = Kind("tumbling", 10)
    both = arrivals([*walk, *later], disorder=grace)
    with WindowedFlow(document(grouped(kind, grace)), 2) as flow:
        flow.play(both[: len(walk)], own_keys=False)
        flow.test._broker.admin().add_partitions("in", 4)
        flow.test.restart()
        flow.partitions = 4
        reached = max((one.time for one in both[: len(walk)]), default=0)
        rest = [
            one if one.partition < 2 else one._replace(time=one.time + reached)
            for one in both[len(walk) :]
        ]
        flow.play(rest, own_keys=False)
        flow.end(at_ms=10_000_000)

        assert windows(flow) == expected(kind, [*both[: len(walk)], *rest])
        assert flow.late_numbers() == []
