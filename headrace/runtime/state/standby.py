"""Keeps standby copies free of what has expired.

The task that owns the state deletes it too, and its tombstones arrive here; but derived entries (see `layout`) have no
tombstones, and an owner that is idle sweeps late.
"""

from collections.abc import Iterator

from headrace.runtime.contracts.store import Store
from headrace.runtime.state.codec import decode
from headrace.runtime.state.layout import (
    META,
    MOMENT,
    TIMER_INDEX,
    expired,
    timer_of_index,
)
from headrace.runtime.state.replica import Replica

TIME = META + b"time"
_CLOCKS = (b"e", b"w")


def sweep(store: Store, replica: Replica, wall_ms: int, limit: int) -> int:
    """Delete at most `limit` index entries whose time has come, and what has expired with them.

    Only in the store, never in the changelog. A timer that is due stays: it is its task's to fire. Returns how many entries
    were deleted.
    """
    region = replica.region
    event_ms = event_time(store, region)
    now_ms = wall_ms if replica.ttl_kind == "wall" else event_ms
    deletes: list[bytes] = []
    if now_ms >= 0:
        for index, entry in expired(store, region, now_ms, limit):
            deletes.append(region + index)
            if entry is not None:
                deletes.append(region + entry)
    for clock, reached_ms in zip(_CLOCKS, (event_ms, wall_ms), strict=True):
        if reached_ms >= 0:
            deletes += stale_timers(store, region, clock, reached_ms, limit)
    if deletes:
        store.write((), deletes)
    return len(deletes)


def event_time(store: Store, region: bytes) -> int:
    """The watermark of the task that owns this state, as of its last commit; -1 before its first record."""
    found = store.get(region + TIME)
    return int(decode(found).get("watermark", -1)) if found is not None else -1


def stale_timers(
    store: Store, region: bytes, clock: bytes, now_ms: int, limit: int
) -> Iterator[bytes]:
    """Index keys of timers that were due and have been cancelled, fired or set anew, among the first `limit`."""
    start = region + TIMER_INDEX + clock
    for found, _ in store.range(start, start + MOMENT.pack(now_ms + 1)):
        if limit <= 0:
            return
        limit -= 1
        timer, due_ms = timer_of_index(found[len(region) :])
        if store.get(region + timer) != MOMENT.pack(due_ms):
            yield found
