"""Keyed operators against what a few lines say that look at all records at once."""

import random
from collections import Counter, deque
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.operators.collect import Collect
from headrace.operators.debounce import Debounce
from headrace.operators.dedupe import Dedupe
from headrace.operators.delay import Delay
from headrace.operators.split import Split
from headrace.operators.throttle import Throttle
from headrace.operators.top import Top, order_of, place_of
from headrace.operators.zip import Zip
from tests.unit.operators.emitted import forwarded
from tests.unit.operators.keyed_world import NOW_MS, KeyedWorld, action_of

WITHIN_MS = 100
RECORDS = st.lists(st.tuples(st.integers(0, 1_000), st.sampled_from("abc")), max_size=40)
PAUSES = st.lists(st.integers(0, 60), max_size=40)
"""Times between records on the wall clock."""
RANKS = st.integers(-5, 5) | st.floats(-3, 3, width=16) | st.text("ab\u20ac", max_size=3)


def deduped(records: list[tuple[int, str]], **config: Any) -> list[tuple[int, str]]:
    world = KeyedWorld(Dedupe, by="event[1]", **config)
    for at, identity in records:
        world.record([at, identity], at=at)
    if config.get("keep") == "last":
        world.advance_watermark(10_000)
        assert (world.live(), world.timers) == ({}, {})
    return [(event[0], event[1]) for event in world.events]


@given(RECORDS, st.booleans())
def test_dedupe_passes_records_in_order_that_are_apart_from_the_one_before(
    records: list[tuple[int, str]], refresh: bool
) -> None:
    records.sort()
    expected, seen = [], dict[str, int]()
    for at, identity in records:
        if identity not in seen or at - seen[identity] >= WITHIN_MS:
            expected.append((at, identity))
            seen[identity] = at
        elif refresh:
            seen[identity] = at

    assert deduped(records, within="100ms", refresh=refresh) == expected


@given(RECORDS)
def test_dedupe_passes_no_two_records_within_the_time_unless_they_come_too_late(
    records: list[tuple[int, str]],
) -> None:
    world = KeyedWorld(Dedupe, by="event[1]", within="100ms")
    in_time: list[list[Any]] = []
    for number, (at, identity) in enumerate(records):
        world.record([at, identity, number], at=at)
        if world.watermark_ms - at < WITHIN_MS:
            in_time.append([at, identity, number])
    passed = world.events

    for identity in "abc":
        times = sorted(event[0] for event in in_time if event in passed and event[1] == identity)
        assert all(later - earlier >= WITHIN_MS for earlier, later in pairwise(times))
    for at, identity, _ in in_time:
        assert any(abs(at - t) < WITHIN_MS for t, i, _ in passed if i == identity)


@given(RECORDS, st.integers(1, 3))
def test_dedupe_remembers_the_latest_identities(records: list[tuple[int, str]], most: int) -> None:
    expected, known = [], deque[str](maxlen=most)
    for at, identity in records:
        if identity not in known:
            expected.append((at, identity))
            known.append(identity)

    assert deduped(records, max=most) == expected


@given(RECORDS, st.integers(1, 3))
def test_dedupe_with_bound_and_time_leaves_nothing_behind(
    records: list[tuple[int, str]], most: int
) -> None:
    world = KeyedWorld(Dedupe, by="event", within="100ms", max=most)
    for at, identity in records:
        world.record(identity, at=at)
        assert sum(name.startswith("t") for _, name in world.entries) <= most
        assert len(world.entries) <= 2 * most + 1
    world.advance_watermark(10_000)

    assert (world.entries, world.timers) == ({}, {})


@given(RECORDS, st.booleans())
def test_dedupe_keeps_the_last_of_each_window(
    records: list[tuple[int, str]], refresh: bool
) -> None:
    records.sort()
    windows: dict[str, list[list[int]]] = {}
    for at, identity in records:
        held = windows.setdefault(identity, [])
        if held and at - held[-1][-1 if refresh else 0] < WITHIN_MS:
            held[-1].append(at)
        else:
            held.append([at])
    expected = sorted((one[-1], identity) for identity, held in windows.items() for one in held)

    assert sorted(deduped(records, within="100ms", refresh=refresh, keep="last")) == expected


@given(RECORDS)
def test_dedupe_sends_on_or_counts_as_late_every_identity_it_was_given(
    records: list[tuple[int, str]],
) -> None:
    world = KeyedWorld(Dedupe, by="event", within="100ms", keep="last")
    for at, identity in records:
        world.record(identity, at=at)
    world.advance_watermark(10_000)

    assert {*world.events, *world.late} == {identity for _, identity in records}


@given(PAUSES, st.none() | st.integers(30, 100), st.sampled_from(["last", "first", "collect"]))
def test_debounce_sends_each_burst_once(pauses: list[int], most: int | None, keep: str) -> None:
    limits: dict[str, Any] = {"max_wait": f"{most}ms"} if most is not None else {}
    world = KeyedWorld(Debounce, wait="30ms", keep=keep, **limits)
    bursts: list[list[int]] = []
    times: list[int] = []
    now = 0
    for number, pause in enumerate(pauses):
        world.advance(pause)
        now += pause
        world.record(number)
        due = min(times[-1] + 30, times[0] + (most or 10**9)) if times else now
        if not times or now >= due:
            bursts, times = [*bursts, []], []
        bursts[-1].append(number)
        times.append(now)
    world.advance(1_000)

    events = [event["items"] if keep == "collect" else event for event in world.events]
    picked: Any = {"last": -1, "first": 0, "collect": slice(None)}[keep]
    assert events == [burst[picked] for burst in bursts]
    assert (world.entries, world.timers) == ({}, {})


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 100))), st.integers(1, 3))
def test_throttle_passes_the_first_of_each_span(steps: list[tuple[int, int]], rate: int) -> None:
    world = KeyedWorld(Throttle, rate=rate, per="100ms")
    expected, counts, watermark = [], Counter[int](), 0
    for number, (step, late) in enumerate(steps):
        watermark += step
        at = max(0, watermark - late)
        world.advance_watermark(watermark)
        world.record(number, at=at)
        counts[at // 100] += 1
        if counts[at // 100] <= rate:
            expected.append(number)

    assert world.events == expected


@given(PAUSES, st.integers(1, 3))
def test_throttle_delays_no_longer_than_it_must(pauses: list[int], rate: int) -> None:
    world = KeyedWorld(Throttle, rate=rate, per="100ms", over="delay")
    expected, passed, now, last = [], Counter[int](), NOW_MS, NOW_MS
    for number, pause in enumerate(pauses):
        world.advance(pause)
        now += pause
        world.record(number)
        last = max(last, now)
        while passed[last // 100] >= rate:
            last = (last // 100 + 1) * 100
        passed[last // 100] += 1
        expected.append((number, last))
    world.advance(100_000)

    assert [(one.event, one.at_ms) for one in world.forwards] == expected
    assert not world.timers
    assert world.live() == {}


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-100, 200))))
def test_delay_sends_on_at_the_moment_but_never_overtakes(records: list[tuple[int, int]]) -> None:
    world = KeyedWorld(Delay, until="event.due")
    expected, now, last = [], NOW_MS, 0
    for pause, wait in records:
        world.advance(pause)
        now += pause
        event = {"due": now + wait}
        world.record(event)
        world.advance(0)
        last = max(last, now, event["due"])
        expected.append((event, last))
    world.advance(1_000)

    assert [(one.event, one.at_ms) for one in world.forwards] == expected
    assert (world.entries, world.timers) == ({}, {})


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 4))
def test_zip_is_one_queue_per_stage(senders: list[str], limit: int) -> None:
    world = KeyedWorld(Zip, inputs=("c", "a", "b"), event_limit=limit)
    queues: dict[str, deque[int]] = {name: deque() for name in "cab"}
    expected, refused = [], 0
    for number, sender in enumerate(senders):
        world.record(number, sender=sender)
        if len(queues[sender]) >= limit:
            refused += 1
            continue
        queues[sender].append(number)
        if all(queues.values()):
            expected.append([queue.popleft() for queue in queues.values()])

    assert world.events == expected
    assert len(world.refused) == refused


@given(st.lists(RANKS), st.integers(1, 4), st.sampled_from(["largest", "smallest"]), st.data())
def test_top_is_the_beginning_of_all_that_came(
    ranks: list[Any], k: int, order: str, data: st.DataObject
) -> None:
    world = KeyedWorld(Top, by="event[0]", k=k, order=order)
    came: list[list[Any]] = []
    for number, rank in enumerate(ranks):
        world.record([rank, number])
        came.append([rank, number])
        if data.draw(st.booleans()):
            world.commit()
    world.commit()

    came.sort(key=lambda event: order_of(event[0]), reverse=order == "largest")
    events = world.events
    assert events[-1]["items"] == came[:k] if ranks else events == []
    assert all(a != b for a, b in pairwise(events))


@given(
    st.lists(st.tuples(RANKS, st.sampled_from("abcd"), st.integers(0, 20))),
    st.integers(1, 4),
    st.sampled_from(["largest", "smallest"]),
)
def test_top_of_ids_ranks_the_newest_record_of_each(
    records: list[tuple[Any, str, int]], k: int, order: str
) -> None:
    world = KeyedWorld(Top, by="event[0]", id="event[1]", k=k, order=order)
    newest: dict[str, list[Any]] = {}
    for rank, name, at in records:
        world.record([rank, name, at], at=at)
        if name not in newest or at >= newest[name][2]:
            newest[name] = [rank, name, at]
    world.commit()

    ranked = sorted(newest.values(), key=lambda e: order_of(e[0]), reverse=order == "largest")
    (result,) = world.events or [{"items": []}]
    assert [e[0] for e in result["items"]] == [e[0] for e in ranked[:k]]
    assert all(newest[event[1]] == event for event in result["items"])


@given(st.lists(RANKS | st.floats(allow_nan=False), min_size=2, max_size=6))
def test_places_sort_as_ranks_do(ranks: list[Any]) -> None:
    rising = sorted(ranks, key=order_of)

    assert sorted(ranks, key=lambda rank: place_of(rank, "smallest").encode()) == rising
    assert [order_of(r) for r in sorted(ranks, key=lambda r: place_of(r, "largest").encode())] == [
        order_of(r) for r in sorted(ranks, key=order_of, reverse=True)
    ]


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=5), max_size=5), st.randoms())
def test_what_was_split_comes_together_again_in_any_order(
    lists: list[list[int]], chance: random.Random
) -> None:
    split = action_of(Split, items="event.items", id="event.id")
    wholes = [{"id": i, "items": items} for i, items in enumerate(lists)]
    events = [event for whole in wholes for event in forwarded(split, whole)]
    chance.shuffle(events)
    world = KeyedWorld(Collect, item="event.items")
    for event in events:
        world.record(event, str(event["id"]).encode())

    found = {int(event["key"]): event["items"] for event in world.events}
    assert found == dict(enumerate(lists))
    assert (world.entries, world.timers) == ({}, {})
