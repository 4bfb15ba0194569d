"""Windows of flows that run, with commits, aborts and restarts anywhere, equal a computation over all records at once."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.models.aggregates import NAIVE
from tests.property.models.kinds import Kind
from tests.property.models.windows import Result
from tests.property.windowed_flow import (
    Arrival,
    Step,
    WindowedFlow,
    arrivals,
    bad_ones,
    by_key,
    document,
    small_batches,
    steps,
)

TIMED = (
    Kind("tumbling", 10),
    Kind("tumbling", 60),
    Kind("tumbling", 1),
    Kind("hopping", 30, 10),
    Kind("hopping", 7, 1),
    Kind("sliding", 20),
    Kind("sliding", 1),
    Kind("session", 5),
    Kind("session", 20),
)
COUNTS = (Kind("count", 1, 1), Kind("count", 3, 3), Kind("count", 6, 2))
PARTITIONS = 3

kinds = st.sampled_from(TIMED)
graces = st.sampled_from((0, 1, 10, 45))
sizes = st.tuples(st.sampled_from((1, 2, 100)), st.sampled_from((1, 3, 5_000)))
FIELDS = {"n": "count()", "values": 'collect(event.n, 1000, "last")', "total": "sum(event.n)"}


def counting(kind: Kind | None, grace: int = 0, **config: Any) -> dict[str, Any]:
    """A stage that counts."""
    timed = {"grace": f"{grace}ms", "late": {"topic": "late"}}
    if kind is None or kind.name == "count":
        timed = {}
    if kind is not None:
        config = {"window": kind.config, **config}
    return {
        "name": "counted",
        "action": "reduce",
        "config": {"aggregate": FIELDS, **timed, **config},
    }


def checked(event: dict[str, Any]) -> Result:
    values = event["values"]
    assert event["n"] == len(values)
    assert event["total"] == sum(values)
    return event["start"], event["end"], values


def finals(
    kind: Kind, sent: list[Arrival], grace: int
) -> tuple[dict[str, list[Result]], list[int]]:
    """Per key, and the numbers of late records."""
    found = {
        key: kind.finals([one.record for one in of_key], grace)
        for key, of_key in by_key(sent).items()
    }
    results = {key: sorted(results) for key, (results, _) in found.items() if results}
    return results, sorted(number for _, late in found.values() for number in late)


def replayed(kind: Kind, events: list[dict[str, Any]]) -> list[Result]:
    """What is left when later results take the place of earlier ones, whose counts never fall."""
    known: dict[int, Result] = {}
    for event in events:
        identity = event[kind.identity]
        if event.get("merged_into") is not None:
            assert event["n"] is event["values"] is event["total"] is None
            del known[identity]
            continue
        result = checked(event)
        assert event[""] == kind.event_time(result)
        assert len(known.get(identity, (0, 0, []))[2]) <= len(result[2])
        known[identity] = result
    return sorted(known.values())


@settings(deadline=None)  # a first example compiles
@given(kinds, graces, steps(PARTITIONS), sizes)
def test_each_window_is_sent_once_when_it_is_closed(
    kind: Kind, grace: int, walk: list[Step], batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    with (
        small_batches(*batches),
        WindowedFlow(document(counting(kind, grace, emit="final")), PARTITIONS) as flow,
    ):
        flow.play(sent)
        flow.end()
        events = flow.events()

        expected, late = finals(kind, sent, grace)
        assert {key: sorted(map(checked, found)) for key, found in events.items()} == expected
        assert {
            event[""] - kind.event_time(checked(event)) for e in events.values() for event in e
        } <= {0}
        assert flow.late_numbers() == late
        assert flow.failed_or_late() == bad_ones(sent)
        if not any(one.cut == "restart" for one in sent):
            assert flow.counted_late() == len(flow.late)


@settings(deadline=None)  # a first example compiles
@given(kinds, graces, steps(PARTITIONS), sizes)
def test_updates_end_with_the_final_results_and_never_count_back(
    kind: Kind, grace: int, walk: list[Step], batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    with (
        small_batches(*batches),
        WindowedFlow(document(counting(kind, grace)), PARTITIONS) as flow,
    ):
        flow.play(sent)
        flow.end()

        expected, late = finals(kind, sent, grace)
        assert {key: replayed(kind, found) for key, found in flow.events().items()} == expected
        assert flow.late_numbers() == late
        assert flow.failed_or_late() == bad_ones(sent)


@settings(deadline=None)  # a first example compiles
@given(
    kinds, graces, steps(PARTITIONS, cuts=("", "", "run", "work", "fail", "restart", "tick")), sizes
)
def test_early_results_come_before_the_final_ones(
    kind: Kind, grace: int, walk: list[Step], batches: tuple[int, int]
) -> None:
    sent = arrivals(walk)
    flow_of = document(counting(kind, grace, emit={"every": "1s"}))
    with small_batches(*batches), WindowedFlow(flow_of, PARTITIONS) as flow:
        flow.play(sent)
        flow.end()
        events = flow.events()

        expected, late = finals(kind, sent, grace)
        assert {key: replayed(kind, found) for key, found in events.items()} == expected
        assert flow.late_numbers() == late


@settings(deadline=None)  # a first example compiles
@given(st.sampled_from(COUNTS), steps(PARTITIONS), sizes)
def test_count_windows(kind: Kind, walk: list[Step], batches: tuple[int, int]) -> None:
    sent = arrivals(walk)
    with (
        small_batches(*batches),
        WindowedFlow(document(counting(kind, emit="final")), PARTITIONS) as flow,
    ):
        flow.play(sent)
        events = flow.events()

        expected = {
            key: results
            for key, of_key in by_key(sent).items()
            if (results := kind.finals([one.record for one in of_key], 0)[0])
        }
        assert {
            key: [checked(event) for event in found] for key, found in events.items()
        } == expected


@settings(deadline=None)  # a first example compiles
@given(steps(PARTITIONS), sizes)
def test_running_results_without_a_window(walk: list[Step], batches: tuple[int, int]) -> None:
    sent = arrivals(walk)
    with small_batches(*batches), WindowedFlow(document(counting(None)), PARTITIONS) as flow:
        flow.play(sent)
        events = flow.events()

        last: dict[str, list[int]] = {}
        for key, found in events.items():
            for event in found:
                assert len(last.get(key, [])) <= event["n"] == len(event["values"])
                assert "start" not in event
                last[key] = event["values"]
        assert last == {
            key: [one.number for one in sorted(of_key, key=lambda one: one.time)]
            for key, of_key in by_key(sent).items()
        }


IN_ORDER_OF_PARTS = ("distinct(event.v)", "top(event.v, 3, timestamp)", "collect(event.v)")
"""Where a window is merged from parts, these go by the parts or are refused."""


@settings(deadline=None)  # a first example compiles
@given(
    st.sampled_from((*TIMED, *COUNTS)),
    st.lists(
        st.sampled_from(sorted(NAIVE.keys() - {"count(event.v > 0)"})),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    steps(1),
    st.lists(st.none() | st.integers(-4, 4), min_size=40, max_size=40),
)
def test_every_aggregate_of_every_window(
    kind: Kind, names: list[str], walk: list[Step], values: list[int | None]
) -> None:
    sent = arrivals(walk)
    if kind.is_merged:
        names = [name for name in names if name not in IN_ORDER_OF_PARTS]
    fields = {f"f{i}": name for i, name in enumerate(names)}
    stage = counting(kind, 10, emit="final")
    stage["config"]["aggregate"] = {**FIELDS, **fields}
    with WindowedFlow(document(stage), 1, values=values) as flow:
        flow.play(sent)
        flow.end()

        for found in flow.events().values():
            for event in found:
                records = [
                    (sent[number].time, values[number])
                    for number in sorted(event["values"])
                    if values[number] is not None
                ]
                naive = {
                    field: len(event["values"]) if name == "count()" else NAIVE[name](records)
                    for field, name in fields.items()
                }
                assert {field: event[field] for field in fields} == naive
        assert flow.failed_or_late() == bad_ones(sent)
