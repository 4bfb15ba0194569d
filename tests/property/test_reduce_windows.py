"""Sliding, session and count windows, record by record, equal a computation over all records at once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.operators.reduce import Reduce
from tests.property.models.windows import records_of, sessions, sliding, values_in_time
from tests.unit.operators.keyed_world import KeyedWorld

FIELDS = {"values": 'collect(event.v, 1000, "last")', "total": "sum(event.v)"}
END = 100_000

steps = st.one_of(st.just(0), st.integers(0, 4), st.integers(-12, 12), st.integers(0, 60))
jumps = st.lists(st.tuples(steps, st.booleans()), max_size=40)
graces = st.sampled_from([0, 1, 3, 20])


def arrived(walk: list[tuple[int, bool]]) -> list[tuple[int, int]]:
    """Times that wander forwards and back, and the numbers of the records."""
    time, found = 100, []
    for number, (step, _) in enumerate(walk):
        time = max(0, time + step)
        found.append((time, number))
    return found


def sent(world: KeyedWorld) -> list[tuple[int, int, list[int]]]:
    return [_checked(event) for event in world.events]


def _checked(event: dict[str, Any]) -> tuple[int, int, list[int]]:
    assert event["key"] == "k"
    assert event["total"] == sum(event["values"])
    return event["start"], event["end"], event["values"]


@given(jumps, st.sampled_from([1, 2, 5, 31, 64, 100]), graces)
def test_final_sliding_windows(walk: list[tuple[int, bool]], size: int, grace: int) -> None:
    pairs = arrived(walk)
    config: dict[str, Any] = {
        "window": {"sliding": f"{size}ms"},
        "aggregate": FIELDS,
        "emit": "final",
    }
    world = KeyedWorld(Reduce, **config, grace=f"{grace}ms")
    for time, value in pairs:
        world.record({"v": value}, at=time)
        if value % 3 == 0:
            world.commit()
    world.advance_watermark(END)

    results, late = sliding(records_of(pairs), size, grace)
    assert sorted(sent(world)) == sorted(results)
    assert [event["v"] for event in world.late] == late
    assert world.entries == {}
    assert world.timers == {}


@given(jumps, st.sampled_from([1, 2, 5, 31, 64, 100]), graces)
def test_updates_of_sliding_windows_end_with_the_final_results(
    walk: list[tuple[int, bool]], size: int, grace: int
) -> None:
    pairs = arrived(walk)
    world = KeyedWorld(
        Reduce, window={"sliding": f"{size}ms"}, aggregate=FIELDS, grace=f"{grace}ms"
    )
    latest: dict[int, tuple[int, int, list[int]]] = {}
    for (time, value), (_, is_commit) in zip(pairs, walk, strict=True):
        world.record({"v": value}, at=time)
        if is_commit:
            world.commit()
        latest |= {end: (start, end, values) for start, end, values in sent(world)}
    world.advance_watermark(END)
    world.commit()
    latest |= {end: (start, end, values) for start, end, values in sent(world)}

    results, late = sliding(records_of(pairs), size, grace)
    assert sorted(latest.values()) == sorted(results)
    assert [event["v"] for event in world.late] == late
    assert world.entries == {}
    assert world.timers == {}


@given(jumps, st.sampled_from([1, 5, 20]), graces)
def test_final_sessions(walk: list[tuple[int, bool]], gap: int, grace: int) -> None:
    pairs = arrived(walk)
    config: dict[str, Any] = {
        "window": {"session": f"{gap}ms"},
        "aggregate": FIELDS,
        "emit": "final",
    }
    world = KeyedWorld(Reduce, **config, grace=f"{grace}ms")
    for time, value in pairs:
        world.record({"v": value}, at=time)
        world.commit()
    world.advance_watermark(END)

    results, late = sessions(records_of(pairs), gap, grace)
    assert sorted(sent(world)) == sorted(results)
    assert [event["v"] for event in world.late] == late
    assert world.entries == {}
    assert world.timers == {}


@given(jumps, st.sampled_from([1, 5, 20]), graces)
def test_updates_of_sessions_and_their_replacements_leave_the_final_results(
    walk: list[tuple[int, bool]], gap: int, grace: int
) -> None:
    pairs = arrived(walk)
    world = KeyedWorld(Reduce, window={"session": f"{gap}ms"}, aggregate=FIELDS, grace=f"{grace}ms")
    by_start: dict[int, tuple[int, int, list[int]]] = {}

    def take() -> None:
        for event in world.events:
            if event.get("merged_into") is not None:
                assert event["total"] is None
                del by_start[event["start"]]
            else:
                by_start[event["start"]] = _checked(event)

    for (time, value), (_, is_commit) in zip(pairs, walk, strict=True):
        world.record({"v": value}, at=time)
        if is_commit:
            world.commit()
        take()
    world.advance_watermark(END)
    world.commit()
    take()

    results, _ = sessions(records_of(pairs), gap, grace)
    assert sorted(by_start.values()) == sorted(results)
    assert world.entries == {}


@given(jumps, st.sampled_from([(1, 1), (3, 3), (6, 2), (4, 1)]))
def test_count_windows(walk: list[tuple[int, bool]], sizes: tuple[int, int]) -> None:
    pairs = arrived(walk)
    count, every = sizes
    window = {"count": count} if count == every else {"count": count, "every": every}
    world = KeyedWorld(Reduce, window=window, aggregate=FIELDS)
    for time, value in pairs:
        world.record({"v": value}, at=time)

    wanted = []
    for end in range(every, len(pairs) + 1, every):
        window_of = records_of(pairs)[max(0, end - count) : end]
        times = [one.time for one in window_of]
        wanted.append((min(times), max(times), values_in_time(window_of)))
    assert sent(world) == wanted
