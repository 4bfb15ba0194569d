"""The store of a worker after random work: it has what the changelogs have, before a restart and after it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.state.layout import ACCUMULATOR, ENTRY, TIMER
from headrace.runtime.task.stored_stage import MEMORY
from tests.property.engine import (
    CUTS,
    EXAMPLES,
    Changelogs,
    Engine,
    Send,
    on_the_engine,
    sides,
    stage,
)

PARTITIONS = 2
TOPICS = {"in": PARTITIONS, "rows": PARTITIONS, "out": 1, "late": 1}
FAR_MS = 1_000_000
few = settings(on_the_engine, max_examples=max(EXAMPLES // 4, 1))
"""There are many kinds."""

Stages = Sequence[Mapping[str, Any]]


def reduce(**config: Any) -> Stages:
    return of(
        "reduce", {"aggregate": {"n": "count()", "all": "collect(event.n, 100, 'last')"}, **config}
    )


def of(action: str, config: Mapping[str, Any]) -> Stages:
    return [*sides("x", "y"), *stage(action, config)]


STREAMS = {"left": "x", "right": "y"}
TABLES = {**STREAMS, "as": {"left": "table", "right": "table"}}
KINDS: Mapping[str, Stages] = {
    "running": reduce(),
    "running by another key": reduce(key="event.id"),
    "tumbling": reduce(window={"tumbling": "20ms"}),
    "tumbling, final": reduce(window={"tumbling": "20ms"}, emit="final", grace="5ms"),
    "hopping": reduce(window={"hopping": "20ms", "every": "5ms"}, emit="final"),
    "sliding": reduce(window={"sliding": "20ms"}, emit="final"),
    "session": reduce(window={"session": "10ms"}, emit="final"),
    "session, updates": reduce(window={"session": "10ms"}),
    "count": reduce(window={"count": 3}),
    "dedupe": of("dedupe", {"by": "event.id", "within": "20ms"}),
    "dedupe of the latest": of("dedupe", {"by": "event.id", "max": 2}),
    "throttle": of("throttle", {"rate": 2, "per": "20ms"}),
    "throttle that delays": of("throttle", {"rate": 1, "per": "1h", "over": "delay"}),
    "debounce": of("debounce", {"wait": "1h", "keep": "collect"}),
    "delay": of("delay", {"wait": "1h"}),
    "collect": of("collect", {"key": "event.id", "count": "4"}),
    "zip": of("zip", {"key": "event.id"}),
    "top": of("top", {"by": "event.n", "k": 2}),
    "top of ids": of("top", {"by": "event.n", "id": "event.id", "k": 2, "ttl": "50ms"}),
    "streams": of("join", {**STREAMS, "within": "10ms", "type": "outer"}),
    "stream and table": of("join", {"right": {"table": "rows"}, "wait": "10ms"}),
    "as of": of("join", {**STREAMS, "as": {"right": "table"}, "as_of": True, "history": "20ms"}),
    "tables": of("join", TABLES),
    "foreign key": of("join", {**TABLES, "foreign_key": "event.id"}),
    "hydrate": of("hydrate", {"table": "rows", "key": "event.id"}),
}
ONE_SIDED = ("stream and table",)
"""Kinds that take the records of one stage."""


def flow_of(kind: str) -> Stages:
    stages = KINDS[kind]
    if kind not in ONE_SIDED:
        return stages
    # One stage brings both sides together.
    renamed = [{**one, "out": "both"} if one["name"] in ("x", "y") else one for one in stages]
    return [*renamed, {"name": "both", "action": "noop", "out": "it"}]


@st.composite
def records(draw: st.DrawFn) -> list[Send]:
    found: list[Send] = []
    times = [20] * PARTITIONS
    for i in range(draw(st.integers(1, 20))):
        partition = draw(st.integers(0, PARTITIONS - 1))
        times[partition] = max(times[partition] + draw(st.integers(-12, 15)), 1)
        key = f"{draw(st.sampled_from('ab'))}{partition}"
        value = {"n": i, "id": str(draw(st.integers(0, 2))), "side": draw(st.sampled_from("xy"))}
        topic = draw(st.sampled_from(("in", "in", "in", "rows")))
        found.append(Send(topic, value, times[partition], key, partition, draw(CUTS)))
    return found


def counted(changelogs: Changelogs, kinds: Sequence[bytes] = (ENTRY, ACCUMULATOR, TIMER)) -> int:
    return sum(key[:1] in kinds for entries in changelogs.values() for key in entries)


def without_time(changelogs: Changelogs) -> Changelogs:
    """Without what is known of the inputs: a task that begins tells how far it is, though it may have nothing to tell."""
    return {
        one: {key: value for key, value in entries.items() if key != MEMORY}
        for one, entries in changelogs.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@given(sent=records())
@few
def test_the_store_has_what_the_changelogs_have_and_so_it_is_restored(
    kind: str, sent: list[Send]
) -> None:
    own = [one for one in sent if one.topic in ("in", "rows")]
    with Engine(flow_of(kind), TOPICS) as engine:
        topics = engine.driver.sources
        engine.play([one for one in own if one.topic in topics])
        before = without_time(engine.check_stores())
        engine.driver.restart()
        engine.driver.run()

        assert without_time(engine.check_stores()) == before


WAITING = ("throttle that delays", "debounce", "delay", "collect")


@pytest.mark.parametrize("kind", WAITING)
@given(sent=records())
@few
def test_timers_of_the_wall_clock_survive_restarts_and_leave_nothing_behind(
    kind: str, sent: list[Send]
) -> None:
    sent = [one for one in sent if one.topic == "in"]
    with Engine(flow_of(kind), TOPICS) as engine:
        engine.play(sent)
        is_waiting = counted(engine.check_stores(), [TIMER]) > 0
        before = len(engine.records())
        engine.driver.restart()
        for _ in range(len(sent) + 3):
            engine.driver.advance(3_601)
            engine.driver.restart()

        assert (len(engine.records()) > before) == is_waiting
        ticks = [Send("in", {"side": "none"}, FAR_MS, "tick", i) for i in range(PARTITIONS)]
        engine.play([*ticks, "restart", *ticks])
        assert engine.left() == {}


FORGETTING = ("dedupe", "throttle", "running with ttl", "streams", "tumbling, final", "session")


@pytest.mark.parametrize("kind", FORGETTING)
@given(sent=records())
@few
def test_what_has_expired_goes_from_the_store_and_gets_tombstones_in_the_changelog(
    kind: str, sent: list[Send]
) -> None:
    sent = [one for one in sent if one.topic == "in"]
    stages = reduce(ttl="1m") if kind == "running with ttl" else flow_of(kind)
    ticks = [Send("in", {"side": "none"}, FAR_MS, "tick", i, "commit") for i in range(PARTITIONS)]
    with Engine(stages, TOPICS) as engine:
        engine.play(sent)
        engine.play(ticks)
        engine.play(["restart", *ticks])
        engine.play(ticks)

        assert counted(engine.check_stores()) == 0
