"""A keyed stage in one task that runs as accumulators: its records are folded by generated code, its windows end here."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from typing import TYPE_CHECKING, Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import Fold, KeyedAction
from headrace.runtime.contracts.broker import Message
from headrace.runtime.contracts.store import Store
from headrace.runtime.graph import Node
from headrace.runtime.state.bins import Accumulator, Bins
from headrace.runtime.state.layout import Changes
from headrace.runtime.state.shapes import SHAPE
from headrace.runtime.state.stage_state import StageState
from headrace.runtime.state.timers import NEVER
from headrace.runtime.task.emission import Emission
from headrace.runtime.task.stage import Functions, Records
from headrace.runtime.task.stored_stage import MEMORY

if TYPE_CHECKING:
    from headrace.runtime.task.task import Task

NOTHING_CLOSED = -(2**62)
FIRE_MAX = 5_000
"""Results that the end of windows sends on at once; what is left follows between batches, over several transactions."""


class FoldStage:
    """Runs one `Fold` for the keys of one task. Belongs to the member's thread.

    Windows end at multiples of the bin's width. `_closed_ms` is the end of the last window that was closed; while one is being
    closed, `_cursor` is its end and the last key whose result was sent on, so that its results may be spread over commits.
    Bins of closed windows may be left for a while (`_is_dropping`): to delete many takes several commits, too.
    """

    def __init__(
        self, task: "Task", node: Node, *, store: Store, region: bytes, clock: Clock
    ) -> None:
        assert isinstance(node.action, KeyedAction)
        fold = node.action.fold()
        assert fold is not None
        self.node = node
        self.action = node.action
        self.region = region
        self.offset_ms = 0
        self.reached_ms = -1
        self.shape: Mapping[str, Any] = {}
        self._fold = fold
        self._task = task
        self._clock = clock
        self._memory = StageState(store, region, clock.now_ms)
        self._bins = Bins(
            store,
            region,
            _maker(fold),
            now_ms=lambda: self.watermark,
            ttl_ms=fold.ttl_ms,
            has_bins=fold.bin_ms > 0,
        )
        self.live = self._bins.live if not fold.bin_ms else {}
        self.live_without_bins = self._bins.without_bins
        self.load = self._bins.load
        self.recall_key = self._bins.recall
        self.keep_key = self._bins.keep
        self._width_ms = fold.bin_ms * fold.bins
        self._closed_ms = NOTHING_CLOSED
        self._target_ms = NOTHING_CLOSED
        self._cursor: tuple[int, bytes] | None = None
        self._oldest: int | None = None
        self._is_dropping = False
        self._early: dict[tuple[int, bytes], None] = {}
        self._early_sent: dict[tuple[int, bytes], None] = {}  # in this transaction
        self._early_due_ms = NEVER
        self._late = 0
        self._emission = Emission(task.cause, None, -1)
        self._result: Callable[..., None] = _unbound
        self._late_function: Callable[..., None] | None = None
        self._recall()

    def _recall(self) -> None:
        memory = self._memory.get(MEMORY) or {}
        self._closed_ms = memory.get("closed", NOTHING_CLOSED)
        cursor = memory.get("cursor")
        self._cursor = (cursor[0], cursor[1]) if cursor else None
        self._target_ms = cursor[0] if cursor else NOTHING_CLOSED
        self._oldest = None
        self._is_dropping = self._fold.bin_ms > 0 and any(
            start + self._width_ms <= self._closed_ms for start in self._bins.known
        )

    def bind(self, functions: Functions) -> None:
        self._result = functions["result"]
        if self.action.late_topic is not None:
            self._late_function = functions["late"]
        elif self.action.late_stage is not None:
            route = self.action.outputs().index(self.action.late_stage)
            self._late_function = functions[f"route_{route}"]

    @property
    def watermark(self) -> int:
        """How far this stage's inputs have come."""
        return self._task.watermark_of(self)

    # ---- records: called by generated code

    def open(self, start: int) -> dict[bytes, Accumulator] | None:
        """The changed accumulators of a bin; None when its last window is closed, so that the record is late.

        Generated code asks again for every bin when windows are to be closed: these may be waiting for their turn still, and what
        comes now is none of theirs.
        """
        closing_ms = max(self._target_ms, self._closing_end(self._time()))
        if start + self._width_ms <= max(self._closed_ms, closing_ms):
            return None
        if start + self._fold.bin_ms <= closing_ms and closing_ms > self._closed_ms:
            self._close(closing_ms)
            while self._is_sending:  # to drop bins can take another commit
                self.work(FIRE_MAX)
        changed = self._bins.live.setdefault(start, {})
        self.live[start] = changed
        if self._oldest is not None:
            self._oldest = min(self._oldest, start)
        if self._fold.close == "event":
            self._task.expect(self, self._first_end(start) + self._fold.grace_ms)
        return changed

    def late(self, message: Message, event: Any) -> None:
        """Count a late record and send it where late ones go."""
        self._late += 1
        if self._late_function is not None:
            self._late_function(message, event)

    def _time(self) -> int:
        return self.watermark if self._fold.close == "event" else self._clock.now_ms()

    def _closing_end(self, time_ms: int) -> int:
        """The end of the last window that is to be closed at a time."""
        width = self._fold.bin_ms
        return (time_ms - self._fold.grace_ms) // width * width if width else NOTHING_CLOSED

    def _first_end(self, start: int) -> int:
        """The end of the first open window that a bin is part of."""
        width = self._fold.bin_ms
        return max(start + width, self._closed_ms + width)

    # ---- time

    def event_due(self) -> int:
        return self._due() if self._fold.close == "event" else NEVER

    def held_ms(self) -> int:
        if self._fold.emit != "final" or not self._is_sending:
            return NEVER
        return (self._cursor[0] if self._cursor else self._next_end(sorted(self._bins.known))) - 1

    def wall_due(self) -> int:
        due_ms = self._early_due_ms
        if self._fold.close == "wall":
            due_ms = min(due_ms, self._due())
        return due_ms

    def _due(self) -> int:
        if not self._fold.bin_ms or self._cursor is not None:
            return NEVER  # what is being closed goes on by `work`
        if self._oldest is None:
            self._oldest = min(self._bins.known, default=NEVER)
        if self._oldest == NEVER:
            return NEVER
        return self._first_end(self._oldest) + self._fold.grace_ms

    def fire(self) -> None:
        if self._fold.close == "event" and self._fold.bin_ms:
            self._close(self._closing_end(self.reached_ms))

    def fire_wall(self, now_ms: int, quiet_ms: int) -> None:
        fold = self._fold
        if not fold.bin_ms:
            return
        if fold.close == "wall":
            self._close(self._closing_end(now_ms))
        if fold.idle_ms is not None and quiet_ms >= fold.idle_ms:
            last = max(self._bins.known, default=None)
            if last is not None:
                self._close(last + self._width_ms)
        if self._early_due_ms <= now_ms:
            self._send_early()

    def _close(self, end_ms: int) -> None:
        """Close every window that ends at or before `end_ms`."""
        if end_ms <= self._closed_ms and self._cursor is None:
            return
        self._target_ms = max(self._target_ms, end_ms)
        self._is_dropping = True
        self.live.clear()
        if self._fold.emit == "updates":
            self._send_updates(self._target_ms)
        self.work(FIRE_MAX)

    @property
    def _is_sending(self) -> bool:
        """Whether windows are left that are to be closed."""
        return self._cursor is not None or self._target_ms > self._closed_ms

    @property
    def has_work(self) -> bool:
        return self._is_sending or self._is_dropping

    def is_idle_due(self, quiet_ms: int) -> bool:
        idle_ms = self._fold.idle_ms
        return idle_ms is not None and quiet_ms >= idle_ms and any(True for _ in self._bins.known)

    def work(self, budget: int) -> int:
        """Send on results of windows that are to be closed, and drop bins that no open window needs, within the budget.

        1. The results of each window that ends by the target, in the order of their ends and keys.
        2. The bins whose last window is closed.
        """
        left = budget
        if not self.has_work:
            return 0
        starts = sorted(self._bins.known)  # the same until bins are dropped
        if self._fold.emit == "final":
            while left > 0:
                end_ms = self._cursor[0] if self._cursor else self._next_end(starts)
                if end_ms > self._target_ms:
                    break
                left = self._send_window(end_ms, left, starts)  # 1
            else:
                return budget
        self._closed_ms = max(self._closed_ms, self._target_ms)
        self._oldest = None
        for start in starts:
            if start + self._width_ms > self._closed_ms:
                break
            left -= self._bins.drop(start, max(left, 1))  # 2
            if left <= 0:
                return budget
        self._is_dropping = False
        return budget - left

    def _next_end(self, starts: Sequence[int]) -> int:
        """The end of the first window that has data and is not closed; `starts` are the known bins in order."""
        width = self._fold.bin_ms
        first = bisect_right(starts, self._closed_ms - self._width_ms)
        if first == len(starts):
            return NEVER
        return max(starts[first], self._closed_ms) + width

    def _send_window(self, end_ms: int, budget: int, starts: Sequence[int]) -> int:
        """Send on the results of one window; what is left of the budget."""
        after = self._cursor[1] if self._cursor else None
        key = after
        for key, accumulator in self._window(end_ms, after, starts):
            if budget <= 0:
                break
            self._send(key, end_ms, accumulator)
            self._cursor = (end_ms, key)
            budget -= 1
        else:
            self._cursor = None
            self._closed_ms = end_ms
            self._oldest = None
        return budget

    def _window(
        self, end_ms: int, after: bytes | None, starts: Sequence[int]
    ) -> Iterator[tuple[bytes, Accumulator]]:
        """The accumulators of a window in the order of their keys, its bins merged."""
        first = bisect_left(starts, end_ms - self._width_ms)
        within = starts[first : bisect_left(starts, end_ms)]
        if len(within) == 1:
            return self._bins.walk(within[0], after)
        walks = [self._bins.walk(start, after) for start in within]
        return self._merged(merge(*walks, key=lambda pair: pair[0]))

    def _merged(
        self, pairs: Iterator[tuple[bytes, Accumulator]]
    ) -> Iterator[tuple[bytes, Accumulator]]:
        """Equal keys come in the order of their bins, since merging is stable."""
        key: bytes | None = None
        total: Accumulator = []
        for found, accumulator in pairs:
            if found == key:
                self._fold.merge(total, accumulator)
                continue
            if key is not None:
                yield key, total
            key, total = found, self._bins.copy_of(accumulator)
        if key is not None:
            yield key, total

    def _send(self, key: bytes, end_ms: int, accumulator: Accumulator) -> None:
        emission = self._emission
        emission.key_bytes = key
        emission.timestamp_ms = end_ms - 1 if self._fold.bin_ms else max(self.watermark, 0)
        self._result(emission, key, end_ms - self._width_ms, end_ms, accumulator)

    # ---- updates

    def _send_early(self) -> None:
        early, self._early = self._early, {}
        self._early_sent |= early
        self._early_due_ms = NEVER
        for start, key in early:
            if start + self._width_ms > self._closed_ms:
                self._send_update(start, key, set())

    def _send_updates(self, until_ms: int) -> None:
        """Send on the results that changed of windows that end at or before a time and are not closed."""
        sent: set[tuple[bytes, int]] = set()
        for start, changed in self._bins.live.items():
            if start + self._fold.bin_ms <= until_ms:
                for key in changed:
                    self._send_update(start, key, sent, until_ms)

    def _send_update(
        self, start: int, key: bytes, sent: set[tuple[bytes, int]], until_ms: int = NEVER
    ) -> None:
        """Send on the results of the open windows that a changed accumulator is part of, each once."""
        width = self._fold.bin_ms
        for number in range(1, self._fold.bins + 1):
            end_ms = start + number * width
            if not self._closed_ms < end_ms <= until_ms or (key, end_ms) in sent:
                continue
            sent.add((key, end_ms))
            total: Accumulator | None = None
            for other in range(end_ms - self._width_ms, end_ms, width):
                found = self._bins.current(other, key)
                if found is None:
                    continue
                if total is None:
                    total = self._bins.copy_of(found)
                else:
                    self._fold.merge(total, found)
            if total is not None:
                self._send(key, end_ms, total)

    def before_commit(self) -> None:
        fold = self._fold
        if fold.early_ms is not None:
            self._note_early()
        if fold.emit != "updates":
            return
        if not fold.bin_ms:
            for key, accumulator in self.live_without_bins.items():
                self._send(key, 0, accumulator)
            return
        if fold.bins == 1:
            self._send_tumbling()
            return
        self._send_updates(NEVER)

    def _send_tumbling(self) -> None:
        result, emission, width = self._result, self._emission, self._width_ms
        for start, changed in self._bins.live.items():
            end_ms = start + width
            emission.timestamp_ms = end_ms - 1
            for key, accumulator in changed.items():
                emission.key_bytes = key
                result(emission, key, start, end_ms, accumulator)

    def _note_early(self) -> None:
        for start, changed in self._bins.live.items():
            self._early.update(dict.fromkeys((start, key) for key in changed))
        if self._early and self._early_due_ms == NEVER:
            assert self._fold.early_ms is not None
            self._early_due_ms = self._clock.now_ms() + self._fold.early_ms

    # ---- the commit

    def records(self, remembered: Mapping[str, Any]) -> Records:
        memory = {**remembered, "watermark": self.watermark}
        if self._closed_ms != NOTHING_CLOSED:
            memory["closed"] = self._closed_ms
        if self._cursor is not None:
            memory["cursor"] = list(self._cursor)
        self._memory.note(MEMORY, memory)
        self._memory.note(SHAPE, self.shape)
        return [*self._bins.records(), *self._memory.records()]

    def changes(self) -> Changes:
        changes = self._memory.changes()
        deleted = self._bins.changes()
        return Changes(changes.puts + deleted.puts, changes.deletes + deleted.deletes)

    @property
    def waiting(self) -> int:
        return self._bins.waiting

    def flush(self, changes: Changes) -> list[tuple[bytes, bytes]]:
        return self._bins.flush(changes)

    def committed(self) -> None:
        self._bins.committed()
        self._forget_live()
        self._memory.committed()
        self._early_sent = {}

    def abort(self) -> None:
        self._bins.abort()
        self._forget_live()
        self._memory.abort()
        if self._early_sent:
            self._early = self._early_sent | self._early
            self._early_sent = {}
            self._early_due_ms = self._clock.now_ms()
        self._late = 0
        self._recall()

    def _forget_live(self) -> None:
        if self._fold.bin_ms:
            self.live.clear()

    def remembered(self) -> Mapping[str, Any]:
        return self._memory.get(MEMORY) or {}

    @property
    def state(self) -> StageState:
        """Where the stage keeps what is not an accumulator."""
        return self._memory

    def counted_late(self) -> int:
        count, self._late = self._late, 0
        return count


def _maker(fold: Fold) -> Callable[[], Accumulator]:
    source = f"lambda: {fold.initial}"
    return eval(source, {"__builtins__": {}})  # type: ignore[no-any-return] # noqa: S307 # written by the action itself


def _unbound(*_: object) -> None:
    raise AssertionError("the stage was not bound to its functions")
