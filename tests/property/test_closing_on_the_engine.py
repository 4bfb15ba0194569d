"""Windows that close by the wall clock or because nothing comes, keys that are forgotten, and processes in other time zones."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.flow import parse_flows
from headrace.testing import FlowTest
from tests.property.models.kinds import Kind, starts
from tests.property.models.windows import Record
from tests.property.windowed_flow import (
    Step,
    WindowedFlow,
    arrivals,
    by_key,
    document,
    small_batches,
    steps,
)

FIELDS = {"n": "count()", "values": 'collect(event.n, 1000, "last")'}
CALM = ("", "run", "run", "work")
FAULTS = (*CALM, "fail", "restart")


def counting(window: dict[str, Any] | None, **config: Any) -> dict[str, Any]:
    if window is not None:
        config = {"window": window, **config}
    return {"name": "counted", "action": "reduce", "config": {"aggregate": FIELDS, **config}}


# ---- by the wall clock

ticks = st.lists(
    st.tuples(
        st.integers(0, 2_500),  # the pause before the record
        st.integers(0, 3_000),  # how old it is
        st.sampled_from("ab"),
        st.sampled_from((*CALM, "restart")),
    ),
    max_size=30,
)


@settings(deadline=None)  # a first example compiles
@given(
    ticks,
    st.sampled_from(
        (Kind("tumbling", 2_000), Kind("hopping", 3_000, 1_000), Kind("session", 1_500))
    ),
    st.sampled_from((0, 700)),
)
def test_windows_close_by_the_clock_and_records_of_long_ago_are_late(
    walk: list[tuple[int, int, str, str]], kind: Kind, grace: int
) -> None:
    """Everything is processed as soon as it comes, so that the clock is the watermark of each record."""
    stage = counting(
        dict(kind.config), grace=f"{grace}ms", close="wall", emit="final", late={"topic": "late"}
    )
    sent: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    with WindowedFlow(document(stage), 1) as flow:
        clock = flow.test.clock
        for number, (pause_ms, age_ms, key, cut) in enumerate(walk):
            flow.test.advance(f"{pause_ms}ms")
            now_ms = clock.now_ms()
            sent[key].append((now_ms - age_ms, number, now_ms))
            flow.test.send("in", {"n": number}, key=key, timestamp=now_ms - age_ms)
            flow.test.run()
            flow.cut(cut, 0)
        flow.test.advance("10s")

        found = {
            key: sorted((event["start"], event["end"], event["values"]) for event in events)
            for key, events in flow.events().items()
        }
        naive = {key: kind.finals(_records(of_key), grace) for key, of_key in sent.items()}
        assert found == {key: sorted(results) for key, (results, _) in naive.items() if results}
        assert flow.late_numbers() == sorted(n for _, late in naive.values() for n in late)


def _records(triples: list[tuple[int, int, int]]) -> list[Record]:
    return [Record(*one) for one in triples]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"tumbling": "10ms"}, {1_000: [0], 1_050: [3]}),
        ({"hopping": "20ms", "every": "10ms"}, {990: [0], 1_000: [0], 1_040: [3, 5], 1_050: [3]}),
    ],
)
def test_what_comes_while_windows_are_being_closed_is_in_none_of_them(
    window: dict[str, str], expected: dict[int, list[int]]
) -> None:
    stage = counting(window, emit="final", late={"topic": "late"})
    with small_batches(100, 1), WindowedFlow(document(stage), 1) as flow:
        for number, (key, at) in enumerate(
            (("a", 1_000), ("b", 1_000), ("c", 1_000), ("a", 1_055), ("a", 1_009), ("a", 1_049))
        ):
            flow.test.send("in", {"n": number}, key=key, timestamp=at)
        flow.test.run()
        flow.end()

        found = {event["start"]: sorted(event["values"]) for event in flow.events()["a"]}
        assert found == expected
        assert flow.late_numbers() == ([4] if "hopping" in window else [4, 5])


# ---- when nothing comes


@settings(deadline=None)  # a first example compiles
@given(
    st.sampled_from(
        (
            Kind("tumbling", 10),
            Kind("hopping", 30, 10),
            Kind("sliding", 20),
            Kind("session", 5),
            Kind("count", 3, 3),
        )
    ),
    steps(2, cuts=(*FAULTS, "tick")),
    st.sampled_from(("", "fail", "restart")),
)
def test_when_nothing_comes_every_open_window_is_sent_once(
    kind: Kind, walk: list[Step], fault: str
) -> None:
    sent = arrivals(walk, disorder=0)
    with WindowedFlow(
        document(counting(dict(kind.config), close={"idle": "30s"}, emit="final")), 2
    ) as flow:
        flow.play(sent)
        flow.cut(fault, 0)
        flow.test.advance("31s")
        flow.test.advance("31s")

        found = {
            key: sorted((event["start"], event["end"], event["values"]) for event in events)
            for key, events in flow.events().items()
        }
        expected = {}
        for key, of_key in by_key(sent).items():
            records = [one.record for one in of_key]
            results = kind.finals(records, 0)[0]
            rest = len(records) % kind.size if kind.name == "count" else 0
            if rest:
                times = [one.time for one in records[-rest:]]
                results.append((min(times), max(times), [one.value for one in records[-rest:]]))
            expected[key] = sorted(results)
        assert found == expected


@settings(deadline=None)  # a first example compiles
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.booleans()), max_size=20))
def test_what_comes_after_windows_were_closed_for_silence_is_late_or_in_a_later_window(
    walk: list[tuple[int, str, bool]],
) -> None:
    stage = counting(
        {"tumbling": "10ms"}, close={"idle": "30s"}, emit="final", late={"topic": "late"}
    )
    with WindowedFlow(document(stage), 1) as flow:
        watermark = closed = 0
        expected: dict[tuple[str, int], list[int]] = defaultdict(list)
        late = []
        for number, (at, key, is_silent) in enumerate(walk):
            at += 1_000
            flow.test.send("in", {"n": number}, key=key, timestamp=at)
            flow.test.run()
            watermark = max(watermark, at)
            closed = max(closed, watermark // 10 * 10)
            (start,) = starts(at, 10, 10)
            if start + 10 <= closed:
                late.append(number)
            else:
                expected[key, start].append(number)
            if is_silent:
                flow.test.advance("31s")
                closed = max([closed, *(start + 10 for _, start in expected)])
        flow.test.advance("31s")
        found = {
            (key, event["start"]): sorted(event["values"])
            for key, events in flow.events().items()
            for event in events
        }

        assert found == expected
        assert flow.late_numbers() == late
        assert len(flow.out) == len(expected)


# ---- without a window


@settings(deadline=None)  # a first example compiles
@given(
    st.one_of(
        steps(2, cuts=(*FAULTS, "lose"), ms=st.integers(0, 60), keys=("a", "b", "c")),
        steps(2, cuts=(*FAULTS, "lose"), ms=st.integers(-60, 100), keys=("a", "b", "c")),
    )
)
def test_a_key_is_forgotten_so_long_after_its_last_record(walk: list[Step]) -> None:
    """One that comes out of order counts as if it came at the watermark."""
    ttl = 100
    sent = arrivals(walk)
    with WindowedFlow(document(counting(None, ttl=f"{ttl}ms")), 2) as flow:
        flow.play(sent)
        events = flow.events()

        for key, of_key in by_key(sent).items():
            known: list[int] = []
            states = []
            forgotten_at = 0
            for one in of_key:
                if one.watermark >= forgotten_at:
                    known = []
                known = sorted([*known, one.number], key=lambda n: (sent[n].time, n))
                states.append(known)
                forgotten_at = one.watermark + ttl
            assert [event["values"] for event in events[key] if event["values"] not in states] == []
            assert events[key][-1]["values"] == known


# ---- whatever the process thinks of time


@contextmanager
def time_zone(name: str) -> Iterator[None]:
    with patch.dict(os.environ, TZ=name):
        time.tzset()
        try:
            yield
        finally:
            os.environ.pop("TZ")
            time.tzset()
    time.tzset()


DAY_MS = 86_400_000


@settings(deadline=None)  # a first example compiles
@given(
    st.sampled_from(("America/New_York", "Asia/Kolkata", "Pacific/Chatham", "Europe/Lisbon")),
    st.integers(1, 400 * DAY_MS),
    st.sampled_from(("1h", "1d", "7d")),
)
def test_windows_begin_at_multiples_of_their_length_since_1970_in_every_time_zone(
    zone: str, at_ms: int, length: str
) -> None:
    length_ms = {"1h": DAY_MS // 24, "1d": DAY_MS, "7d": 7 * DAY_MS}[length]
    flow = parse_flows(document(counting({"tumbling": length})))
    with time_zone(zone), FlowTest(flow) as test:
        test.send("in", {"n": 1}, key="a", timestamp=at_ms)
        test.run()
        (result,) = test.received("out")

    assert result.value["start"] == at_ms // length_ms * length_ms
    assert result.value["end"] == result.value["start"] + length_ms
    assert result.timestamp == result.value["end"] - 1
