"""Windows whose results are records of further keyed stages in the same task."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace import Flow, flow
from headrace.runtime.task import fold_stage
from headrace.runtime.worker import tasks
from headrace.testing import FlowTest, ManualClock

DAY_MS = 86_400_000
MINUTE_MS = 60_000


@pytest.fixture
def few_results_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a window sends its results in small parts, over several transactions."""
    monkeypatch.setattr(fold_stage, "FIRE_MAX", 3)
    monkeypatch.setattr(tasks, "WORK_MAX", 5)


def minutes_of_minutes() -> Flow:
    made = flow("chained")
    once = made.kafka("in", topics="in").reduce(
        "once", window={"tumbling": "1m"}, aggregate={"n": "count()"}, emit="final"
    )
    twice = once.reduce(
        "twice", window={"tumbling": "1m"}, aggregate={"n": "sum(event.n)"}, emit="final"
    )
    twice.publish("sink", topic="out")
    return made.build()


def with_weather() -> Flow:
    made = flow("weather")
    hours = made.kafka("in", topics="in").reduce(
        "hours",
        window={"tumbling": "1h"},
        aggregate={"n": "count()"},
        emit="final",
        close={"idle": "20s"},
    )
    known = hours.hydrate("weather", table="sky", as_of=True, history="1h")
    known.publish("sink", topic="out")
    return made.build()


def values(test: FlowTest) -> Iterator[Any]:
    return (record.value for record in test.received("out"))


def test_a_window_of_results_counts_each_result_in_the_window_of_its_time() -> None:
    with FlowTest(minutes_of_minutes()) as test:
        test.send("in", {}, key="a", timestamp=1_000)
        test.send("in", {}, key="a", timestamp=MINUTE_MS + 1_000)
        test.send("in", {}, key="a", timestamp=DAY_MS)
        test.run()

        assert list(values(test)) == [
            {"key": "a", "start": 0, "end": MINUTE_MS, "n": 1},
            {"key": "a", "start": MINUTE_MS, "end": 2 * MINUTE_MS, "n": 1},
        ]


def test_results_that_are_sent_in_parts_are_late_for_no_stage_behind(
    few_results_at_once: None,
) -> None:
    with FlowTest(minutes_of_minutes()) as test:
        for i in range(100):
            test.send("in", {}, key=f"key {i}", timestamp=1_000)
        test.send("in", {}, key="later", timestamp=DAY_MS)
        test.run()

        assert sorted(value["key"] for value in values(test)) == sorted(
            f"key {i}" for i in range(100)
        )


def test_windows_that_close_in_silence_find_the_rows_of_their_own_time() -> None:
    with FlowTest(with_weather()) as test:
        test.send("sky", {"rain": 1}, key="a", timestamp=1_000)
        test.send("in", {}, key="a", timestamp=2_000)
        test.send("in", {}, key="a", timestamp=DAY_MS)
        test.advance("30s")

        assert [(value["start"], value["sky"]) for value in values(test)] == [
            (0, {"rain": 1}),
            (DAY_MS, {"rain": 1}),
        ]


def test_windows_do_not_close_in_silence_while_their_records_are_on_the_way() -> None:
    made = flow("moved")
    made.kafka("in", topics="in").reduce(
        "all",
        key="'all'",
        window={"tumbling": "1h"},
        aggregate={"n": "count()"},
        emit="final",
        close={"idle": "5s"},
    ).publish("sink", topic="out")
    clock = ManualClock()
    with FlowTest(made.build(), clock=clock) as test:
        test.send("in", {}, key="a", timestamp=1_000)
        test.run()
        test.send("in", {}, key="b", timestamp=2_000)
        test.run(commit=False)  # in front of the repartition topic
        clock.advance(8)
        test.run()
        test.advance("30s")

        assert [value["n"] for value in values(test)] == [2]
