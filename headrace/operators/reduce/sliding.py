"""`reduce` over sliding windows: for the time of every record, what lies at most `size` before it."""

from dataclasses import dataclass
from typing import Any

from headrace.operators.reduce.clocks import CLOSE, EARLY, IDLE, Alarms, TimedReduce
from headrace.operators.reduce.config import in_ms
from headrace.operators.reduce.past import BLOCKS, ENTRY, Past
from headrace.runtime.contracts.action import KeyedContext, TimerKind


@dataclass
class Progress:
    """What is known of a key beside its records.

    The results of times up to `done_ms` are final and sent; `changes` are the stretches [first, end) of time in which results
    changed that are not sent yet. `oldest` is the first block that is kept, `newest_ms` the latest time.
    """

    alarms: Alarms
    done_ms: int
    changes: list[list[int]]
    oldest: int
    newest_ms: int


class SlidingReduce(TimedReduce):
    """A result for every time at which the key has a record: of its records in (time - size, time].

    State of a key: its recent records (past.py), and its progress.
    """

    @property
    def size_ms(self) -> int:
        assert self.window.sliding is not None  # this is what the action was chosen for
        return in_ms(self.window.sliding)

    @property
    def delay_ms(self) -> int:
        # A result may change, and be sent again, as long as the records of its window are kept.
        kept_ms = self.size_ms + max(1, self.size_ms // BLOCKS) if self.tells_changes else 0
        return kept_ms + self.grace_ms + 1

    def on_record(self, context: KeyedContext, event: Any) -> None:
        time = context.timestamp_ms
        progress = _load(context)
        closing_ms = time + 1 + self.grace_ms
        if closing_ms <= self.clock_ms(context) or (progress and time <= progress.done_ms):
            context.late(event)
            return
        past = self._past(context)
        past.add(time, event)
        block = time // past.block_ms
        if progress is None:
            progress = Progress(Alarms(None), -1, [], block, time)
        progress.oldest = min(progress.oldest, block)
        progress.newest_ms = max(progress.newest_ms, time)
        if self.tells_changes:
            progress.changes = _with_stretch(progress.changes, time, time + self.size_ms)
            self.changed(context, progress.alarms)
        self.noticed(context, progress.alarms)
        wake_ms = closing_ms if self.is_final else self._over_ms(past, block)
        progress.alarms.set(context, CLOSE, wake_ms, self.clock_kind)
        _keep(context, progress)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 # as its contract has it
        progress = _load(context)
        if progress is None:
            return
        progress.alarms.fired(name)
        past = self._past(context)
        if name == CLOSE:
            self._close(context, past, progress, max(at_ms, self.clock_ms(context)))
        elif name == IDLE and self.is_idle(context, progress.alarms):
            if self.is_final:
                self._finish(context, past, progress, progress.newest_ms)
        elif name == EARLY:
            self._tell_changes(context, past, progress)
        if past.block_from(progress.oldest, progress.newest_ms // past.block_ms) is None:
            self.stop(context, progress.alarms)
            context.delete()
        else:
            _keep(context, progress)

    def on_commit(self, context: KeyedContext) -> None:
        progress = _load(context)
        if progress is not None and progress.changes:
            self._tell_changes(context, self._past(context), progress)
            _keep(context, progress)

    def shown(self, name: str, value: Any) -> Any:
        # What came at one time; its sums over blocks, and how far results were sent, are nothing to people.
        return self.accumulator.result(value) if name.startswith(ENTRY) else None

    def _past(self, context: KeyedContext) -> Past:
        return Past(context, self.accumulator, self.size_ms)

    def _over_ms(self, past: Past, block: int) -> int:
        """The time from which on no window needs a block."""
        return (block + 1) * past.block_ms - 1 + self.size_ms + self.grace_ms

    def _close(self, context: KeyedContext, past: Past, progress: Progress, clock_ms: int) -> None:
        """Send what is final by now, delete what no window needs any more, and see when to look again."""
        if self.is_final:
            self._finish(context, past, progress, clock_ms - self.grace_ms - 1)
        if self._over_ms(past, progress.oldest) <= clock_ms:
            self._tell_changes(context, past, progress)
            end = (clock_ms - self.grace_ms - self.size_ms + 1) // past.block_ms
            past.forget(progress.oldest, end)
            newest = progress.newest_ms // past.block_ms
            progress.oldest = end
            found = past.block_from(end, newest)
            if found is None:
                return
            progress.oldest = found
        wake_ms = self._over_ms(past, progress.oldest)
        if self.is_final:
            waiting = past.time_from(progress.done_ms + 1, progress.newest_ms)
            if waiting is not None:
                wake_ms = min(wake_ms, waiting + 1 + self.grace_ms)
        progress.alarms.set(context, CLOSE, wake_ms, self.clock_kind)

    def _finish(self, context: KeyedContext, past: Past, progress: Progress, final_ms: int) -> None:
        """Send the results of times up to `final_ms`, and do not send them again."""
        if final_ms <= progress.done_ms:
            return
        last_ms = min(final_ms, progress.newest_ms)
        self._tell(context, past, past.times(progress.done_ms + 1, last_ms))
        progress.done_ms = final_ms
        progress.changes = [
            [max(first, final_ms + 1), end] for first, end in progress.changes if end > final_ms + 1
        ]

    def _tell_changes(self, context: KeyedContext, past: Past, progress: Progress) -> None:
        """Send the results that changed."""
        for first, end in progress.changes:
            self._tell(context, past, past.times(first, end - 1))
        progress.changes = []

    def _tell(self, context: KeyedContext, past: Past, times: list[int]) -> None:
        for time in times:
            event = self.result(context, time - self.size_ms, time, past.stretch(time))
            context.forward(event, timestamp_ms=time)


def _load(context: KeyedContext) -> Progress | None:
    entry = context.get()
    return Progress(Alarms(entry[0]), *entry[1:]) if entry is not None else None


def _keep(context: KeyedContext, progress: Progress) -> None:
    entry = [progress.done_ms, progress.changes, progress.oldest, progress.newest_ms]
    context.put("", [progress.alarms.entry, *entry])


def _with_stretch(stretches: list[list[int]], first: int, end: int) -> list[list[int]]:
    """Stretches of time [first, end) with one more; those that touch become one."""
    apart = [one for one in stretches if one[1] < first or one[0] > end]
    touching = [one for one in stretches if one not in apart]
    joined = [
        min([first, *(one[0] for one in touching)]),
        max([end, *(one[1] for one in touching)]),
    ]
    return sorted([*apart, joined])
