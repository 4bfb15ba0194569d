"""When windows that are no bins close: by event time or by the clock, and when no records come."""

from typing import Any

from headrace.operators.reduce.keyed import KeyedReduce
from headrace.runtime.contracts.action import KeyedContext, TimerKind

CLOSE, IDLE, EARLY = "close", "idle", "early"


class Alarms:
    """The timers of one key, as its state keeps them: a timer is set only when it has to fire earlier than it would.

    What it is set for may move on meanwhile; whoever handles it looks again. `entry` is [times by name, wall clock of the last
    record]; the state keeps it after use.
    """

    def __init__(self, entry: list[Any] | None) -> None:
        self._times: dict[str, int] = dict(entry[0]) if entry else {}
        self.seen_ms: int = entry[1] if entry else 0

    @property
    def entry(self) -> list[Any]:
        """What the state keeps."""
        return [self._times, self.seen_ms]

    def set(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:
        """See to it that the timer fires at this time at the latest.

        One that has fired, and whose call failed and so changed nothing, is set anew: it is due at once.
        """
        known_ms = self._times.get(name)
        if known_ms is not None and known_ms <= at_ms:
            reached_ms = context.now_ms if kind == "wall" else context.watermark_ms
            if known_ms > reached_ms:
                return
            at_ms = known_ms
        self._times[name] = at_ms
        context.set_timer(name, at_ms, kind=kind)

    def fired(self, name: str) -> None:
        """Note that the timer is gone."""
        self._times.pop(name, None)

    def cancel(self, context: KeyedContext, name: str, kind: TimerKind) -> None:
        """See to it that the timer does not fire."""
        if self._times.pop(name, None) is not None:
            context.cancel_timer(name, kind=kind)


class TimedReduce(KeyedReduce):
    """Windows that follow the records, with timers of their own."""

    @property
    def clock_kind(self) -> TimerKind:
        return "wall" if self.config.close == "wall" else "event"

    def clock_ms(self, context: KeyedContext) -> int:
        """The time by which windows close."""
        return context.now_ms if self.clock_kind == "wall" else context.watermark_ms

    @property
    def tells_changes(self) -> bool:
        """Whether results are sent before a window is closed."""
        return not self.is_final or self.early_ms is not None

    def noticed(self, context: KeyedContext, alarms: Alarms) -> None:
        """Note that a record came, for closing when none come."""
        alarms.seen_ms = context.now_ms
        if self.idle_ms is not None:
            alarms.set(context, IDLE, context.now_ms + self.idle_ms, "wall")

    def changed(self, context: KeyedContext, alarms: Alarms) -> None:
        """See to it that results which changed are sent in time."""
        if self.early_ms is not None:
            alarms.set(context, EARLY, context.now_ms + self.early_ms, "wall")
        elif not self.is_final:
            context.at_commit()

    def is_idle(self, context: KeyedContext, alarms: Alarms) -> bool:
        """Whether no record came for so long; waits on where one did."""
        assert self.idle_ms is not None  # its timer has fired
        at_ms = alarms.seen_ms + self.idle_ms
        if context.now_ms >= at_ms:
            return True
        alarms.set(context, IDLE, at_ms, "wall")
        return False

    def stop(self, context: KeyedContext, alarms: Alarms) -> None:
        """Leave no timer of a key without windows."""
        alarms.cancel(context, IDLE, "wall")
        alarms.cancel(context, EARLY, "wall")
        alarms.cancel(context, CLOSE, self.clock_kind)
