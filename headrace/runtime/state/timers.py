"""Durable timers: one per key, name and clock, in the state of a stage, fired in the order of their times."""

from heapq import heapify, heappop, heappush

from headrace.runtime.state.layout import (
    MOMENT,
    TIMER_INDEX,
    end_of,
    timer_index_key,
    timer_key,
    timer_of_index,
)
from headrace.runtime.state.stage_state import StageState

NEVER = 2**63 - 1
LOADED_MAX = 10_000
"""Timers that are read ahead from the store; those behind them stay there until their time is near."""


class Timers:
    """The timers of one clock (e: event time, w: wall clock) of one stage in one task.

    The entry of a timer (`layout`, kind n) is the truth. The heap holds all that are due at or before `_horizon`, and
    some that were replaced since: a popped one counts only when its entry still says so.
    """

    def __init__(self, state: StageState, clock: bytes) -> None:
        self._state = state
        self._clock = clock
        self._heap: list[tuple[int, bytes]] = []
        self._horizon = -1

    def set(self, key: bytes, name: str, due_ms: int) -> None:
        """Set or replace a timer; a time before 1970 is due at once."""
        due_ms = max(due_ms, 0)
        timer = timer_key(self._clock, key, name)
        known = self._state.get(timer)
        if known == due_ms:
            return
        self._replace(timer, known)
        self._state.put(timer, due_ms)
        if due_ms <= self._horizon:
            heappush(self._heap, (due_ms, timer))

    def cancel(self, key: bytes, name: str) -> None:
        """Forget a timer; one that is not set is no error."""
        timer = timer_key(self._clock, key, name)
        known = self._state.get(timer)
        if known is not None:
            self._replace(timer, known)
            self._state.put(timer, None)

    def _replace(self, timer: bytes, due_ms: int | None) -> None:
        if due_ms is not None:
            self._state.forget_index(timer_index_key(timer, due_ms))

    def due(self) -> int:
        """When the next timer is due; `NEVER` when there is none. May be too early, when that timer was replaced."""
        if not self._heap and self._horizon < NEVER:
            self._load()
        return self._heap[0][0] if self._heap else NEVER

    def pop(self, until_ms: int) -> tuple[bytes, int] | None:
        """Remove and return the next timer that is due at or before `until_ms`: its `n` key and its time."""
        while self.due() <= until_ms:
            due_ms, timer = heappop(self._heap)
            if self._state.get(timer) == due_ms:
                self._replace(timer, due_ms)
                self._state.put(timer, None)
                return timer, due_ms
        return None

    def _load(self) -> None:
        """Read the next timers behind the horizon, from the store and from what is not committed yet."""
        prefix = TIMER_INDEX + self._clock
        region = self._state.region
        start = region + prefix + MOMENT.pack(self._horizon + 1)
        found = self._state.store.range(start, end_of(region + prefix))
        heap: list[tuple[int, bytes]] = []
        horizon = NEVER
        for index, _ in found:
            timer, due_ms = timer_of_index(index[len(region) :])
            if len(heap) >= LOADED_MAX and due_ms != heap[-1][0]:
                horizon = heap[-1][0]
                break
            heap.append((due_ms, timer))
        heap += [
            (due_ms, timer)
            for timer, due_ms in self._state.changed_timers
            if timer[1:2] == self._clock and self._horizon < due_ms <= horizon
        ]
        heapify(heap)
        self._heap, self._horizon = heap, horizon

    def reset(self) -> None:
        """Begin anew from the store, after an abort."""
        self._heap.clear()
        self._horizon = -1
