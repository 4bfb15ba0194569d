"""Keyed operators on the engine in memory: faults between records change nothing, and naive models say the same."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.partitioning import partition_of
from tests.property.engine import (
    CUTS,
    Cut,
    Engine,
    Send,
    Step,
    on_the_engine,
    sides,
    stage,
    trigger,
)

PARTITIONS = 2
TOPICS = {"in": PARTITIONS, "out": PARTITIONS, "late": 1, "other": 1}
FAR_MS = 100_000
OTHER = {"name": "other", "action": "publish", "config": {"topic": "other"}}
SPAN_S = 1_000
"""Pauses on the wall clock. A fault lets some tenths of a second pass, which is nothing beside it."""

IN_EVENT_TIME: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "dedupe": ("dedupe", {"by": "event.id", "within": "20ms"}),
    "dedupe that refreshes": ("dedupe", {"by": "event.id", "within": "20ms", "refresh": True}),
    "dedupe of the latest": ("dedupe", {"by": "event.id", "max": 2, "within": "40ms"}),
    "dedupe keeping the last": ("dedupe", {"by": "event.id", "within": "20ms", "keep": "last"}),
    "throttle": ("throttle", {"rate": 2, "per": "20ms", "over": "other"}),
    "debounce": ("debounce", {"wait": "8ms", "max_wait": "20ms", "clock": "event"}),
    "debounce that collects": ("debounce", {"wait": "8ms", "clock": "event", "keep": "collect"}),
    "delay": ("delay", {"wait": "10ms", "clock": "event"}),
    "delay until": ("delay", {"until": "event.n % 5 * 10", "clock": "event"}),
}


@st.composite
def records(draw: st.DrawFn, keys: Sequence[str] = "ab") -> list[Send]:
    """Records whose times go back and forth; a key is in one partition only, the one where Kafka puts it."""
    found: list[Send] = []
    times = [20] * PARTITIONS
    for i in range(draw(st.integers(0, 25))):
        name = draw(st.sampled_from(keys))
        partition = draw(st.integers(0, PARTITIONS - 1))
        times[partition] = max(times[partition] + draw(st.integers(-12, 15)), 1)
        key = f"{name}{partition}"
        value = {"n": i, "id": draw(st.integers(0, 2)), "side": draw(st.sampled_from("xyz"))}
        found.append(Send("in", value, times[partition], key, partition, draw(CUTS)))
    return found


def ticks() -> list[Send]:
    return [Send("in", {"side": "none"}, FAR_MS, f"tick {i}", i) for i in range(PARTITIONS)]


def flow(action: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A filter keeps the ticks out of the stage: they move the watermark all the same."""
    where = {"where": "event.side != 'none'"}
    first = {"name": "seen", "action": "filter", "config": where, "out": "it"}
    others = [OTHER] if config.get("over") == "other" else []
    return [trigger("in", "seen"), first, *stage(action, config), *others]


@pytest.mark.parametrize("name", IN_EVENT_TIME)
@given(sent=records())
@on_the_engine
def test_faults_change_nothing_of_what_counts_in_event_time(name: str, sent: list[Send]) -> None:
    stages = flow(*IN_EVENT_TIME[name])
    with Engine(stages, TOPICS) as plain:
        plain.play([*sent, *ticks()], has_faults=False)
        results, others = plain.by_key(), plain.by_key("other")
    with Engine(stages, TOPICS) as engine:
        engine.play([*sent, *ticks()])

        assert engine.by_key() == results
        assert engine.by_key("other") == others
        assert engine.failed() == []
        # What has expired is swept with the commits that follow.
        engine.play(ticks())
        engine.play(ticks())
        assert engine.left() == {}


@given(records(), st.integers(1, 3))
@on_the_engine
def test_throttle_passes_the_first_of_each_span_in_its_order(sent: list[Send], rate: int) -> None:
    expected, over, counts = list[Any](), list[Any](), Counter[Any]()
    highest = [0] * PARTITIONS
    for one in sent:
        highest[one.partition] = max(highest[one.partition], one.time_ms)
        span = one.time_ms // 20
        counts[one.key, span] += 1
        (expected if counts[one.key, span] <= rate else over).append(one.value["n"])
    # A span is remembered until the watermark is one further, which no record is late enough to notice here.
    config = {"rate": rate, "per": "20ms", "over": "other"}
    with Engine(flow("throttle", config), TOPICS) as engine:
        engine.play(sent)

        assert sorted(r.value["n"] for r in engine.records()) == expected == sorted(expected)
        assert sorted(r.value["n"] for r in engine.records("other")) == over
        engine.play(ticks())
        engine.play(ticks())
        assert engine.left() == {}


@given(records(), st.integers(1, 4))
@on_the_engine
def test_zip_is_one_queue_per_stage_and_key(sent: list[Send], limit: int) -> None:
    queues = defaultdict[str | None, dict[str, deque[int]]](lambda: {n: deque() for n in "xyz"})
    expected, refused = defaultdict[str | None, list[Any]](list), 0
    for one in sent:
        of_key = queues[one.key]
        queue = of_key[one.value["side"]]
        if len(queue) >= limit:
            refused += 1
            continue
        queue.append(one.value["n"])
        if all(of_key.values()):
            expected[one.key].append([of_key[side].popleft() for side in "xyz"])
    config = {"key": "key", "event_limit": limit}
    with Engine([*sides("x", "y", "z"), *stage("zip", config)], TOPICS) as engine:
        # The source partitions are one after the other behind the repartition topic, each in its order.
        engine.play(sent)

        found = {
            key: [[event["n"] for event in value] for value, _ in results]
            for key, results in engine.by_key().items()
        }
        assert found == expected
        assert len(engine.failed()) == refused
        engine.check_stores()


@given(records(), st.integers(1, 3), st.sampled_from(("largest", "smallest")), st.booleans())
@on_the_engine
def test_top_ends_with_the_beginning_of_all_that_came(
    sent: list[Send], k: int, order: str, is_by_id: bool
) -> None:
    config: dict[str, Any] = {"by": "event.n % 7", "item": "event.n", "k": k, "order": order}
    kept = defaultdict[str | None, dict[Any, Send]](dict)
    for one in sent:
        of_key, name = kept[one.key], one.value["id"] if is_by_id else one.value["n"]
        if name not in of_key or one.time_ms >= of_key[name].time_ms:
            of_key[name] = one
    if is_by_id:
        config["id"] = "event.id"
    with Engine(flow("top", config), TOPICS) as engine:
        engine.play(sent)

        found = {
            key: [n % 7 for n in results[-1][0]["items"]]
            for key, results in engine.by_key().items()
        }
        engine.check_stores()
    sign = -1 if order == "largest" else 1
    assert found == {
        key: sorted((one.value["n"] % 7 for one in of_key.values()), key=lambda n: sign * n)[:k]
        for key, of_key in kept.items()
    }


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 9), max_size=5), st.sampled_from((0, 1)), CUTS),
        max_size=10,
    )
)
@on_the_engine
def test_what_is_split_is_collected_again_whatever_goes_wrong(
    wholes: list[tuple[list[int], int, Cut]],
) -> None:
    stages = [
        trigger("in", "parts"),
        {"name": "parts", "action": "split", "config": {"items": "event"}, "out": "it"},
        *stage("collect", {"item": "event"}),
    ]
    stages[1]["config"] = {"items": "event.items", "empty": "other"}
    stages[2]["config"] = {"item": "event.items"}
    sent = [
        Send("in", {"items": items}, 20 + i, "a", partition, cut)
        for i, (items, partition, cut) in enumerate(wholes)
    ]
    with Engine([*stages, OTHER], TOPICS) as engine:
        engine.play(sent)

        assert sorted(r.value["items"] for r in engine.records()) == sorted(
            items for items, _, _ in wholes if items
        )
        assert all(r.value["complete"] for r in engine.records())
        assert len(engine.records("other")) == sum(not items for items, _, _ in wholes)
        assert engine.left() == {}


# ---- the wall clock


@st.composite
def spans(draw: st.DrawFn) -> list[list[Send]]:
    """Records between pauses. Their keys are moved to other partitions where the stage has a `key`."""
    return draw(st.lists(records(), max_size=4))


def steps_of(found: Sequence[Sequence[Send]], pauses: int = 1) -> list[Step]:
    """The records, a pause behind each span, and more pauses at the end."""
    steps: list[Step] = []
    for span in found:
        steps += [*span, SPAN_S]
    return [*steps, *[SPAN_S] * pauses]


@given(spans(), st.sampled_from(("last", "first", "collect")))
@on_the_engine
def test_debounce_sends_one_event_per_burst_and_key(found: list[list[Send]], keep: str) -> None:
    with Engine(flow("debounce", {"wait": f"{SPAN_S // 2}s", "keep": keep}), TOPICS) as engine:
        engine.play(steps_of(found))

        results = {key: [v for v, _ in pairs] for key, pairs in engine.by_key().items()}
        assert engine.left() == {}
    expected = defaultdict[str | None, list[Any]](list)
    for span in found:
        for key in {one.key for one in span}:
            events = [one.value for one in span if one.key == key]
            picked = {"last": events[-1], "first": events[0]}
            expected[key].append(picked.get(keep, {"key": key, "items": events}))
    assert results == expected


@given(spans())
@on_the_engine
def test_delay_sends_everything_on_in_order_after_the_wait(found: list[list[Send]]) -> None:
    expected = defaultdict[str | None, list[Any]](list)
    with Engine(flow("delay", {"wait": f"{SPAN_S // 2}s"}), TOPICS) as engine:
        for span in found:
            engine.play(span)
            results = {key: [v for v, _ in pairs] for key, pairs in engine.by_key().items()}
            assert results == expected
            engine.play([SPAN_S])
            for one in span:
                expected[one.key].append(one.value)

        results = {key: [v for v, _ in pairs] for key, pairs in engine.by_key().items()}
        assert results == expected
        assert engine.left() == {}


@given(spans(), st.integers(1, 3))
@on_the_engine
def test_a_throttle_that_delays_passes_so_many_per_span_in_order(
    found: list[list[Send]], rate: int
) -> None:
    config = {"rate": rate, "per": f"{SPAN_S}s", "over": "delay"}
    queues, expected = (
        defaultdict[str | None, list[Any]](list),
        defaultdict[str | None, list[Any]](list),
    )
    with Engine(flow("throttle", config), TOPICS) as engine:
        for span in [*found, *[list[Send]()] * 30]:
            engine.play([*span])
            for one in span:
                queues[one.key].append(one.value)
            for key, queue in queues.items():
                expected[key] += queue[:rate]
                del queue[:rate]
            results = {key: [v for v, _ in pairs] for key, pairs in engine.by_key().items()}
            assert results == {key: values for key, values in expected.items() if values}
            engine.play([SPAN_S])
            if not any(queues.values()):
                break
        engine.play([SPAN_S, SPAN_S])
        engine.play(ticks())

        assert engine.left() == {}


@given(records(), records())
@on_the_engine
def test_dedupe_by_a_key_passes_one_of_each_whatever_partition_they_come_from(
    first: list[Send], second: list[Send]
) -> None:
    config = {"key": "'all'", "by": "event.id", "within": "1h"}
    sent = [*first, *second]
    with Engine(flow("dedupe", config), TOPICS) as engine:
        engine.play(sent)

        passed = [(r.key, r.value["id"]) for r in engine.records()]
        assert sorted(passed) == sorted({("all", one.value["id"]) for one in sent})
        assert {r.partition for r in engine.records()} <= {partition_of(b"all", PARTITIONS)}
        engine.check_stores()
