"""`reduce` over count windows: so many records of a key, as they arrive."""

from typing import Any

from headrace.operators.reduce.accumulator import copy_of
from headrace.operators.reduce.clocks import IDLE, Alarms, TimedReduce
from headrace.runtime.contracts.action import KeyedContext, TimerKind


class CountReduce(TimedReduce):
    """A window of `count` records every `every` records; the first ones, of fewer, are sent too.

    A window is merged from parts of `every` records. State of a key: the parts, oldest first, as [first time, last time,
    accumulator]; how many records the last part has; the alarms.
    """

    @property
    def every(self) -> int:
        """Records from one result to the next."""
        every = self.window.every
        assert self.window.count is not None  # this is what the action was chosen for
        return every if isinstance(every, int) else self.window.count

    @property
    def _parts_max(self) -> int:
        assert self.window.count is not None  # as above
        return self.window.count // self.every

    def on_record(self, context: KeyedContext, event: Any) -> None:
        parts, count, alarms = _load(context)
        time = context.timestamp_ms
        if count == 0:
            part: list[Any] = [time, time, self.accumulator.new()]
        else:
            first, last, accumulator = parts.pop()
            part = [min(first, time), max(last, time), copy_of(accumulator)]
        self.accumulator.add(part[2], event, time, context.key)
        parts.append(part)
        count += 1
        if count == self.every:
            self._tell(context, parts)
            count = 0
            if len(parts) == self._parts_max:
                del parts[0]
        self.noticed(context, alarms)
        self._keep(context, parts, count, alarms)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 # as its contract has it
        parts, count, alarms = _load(context)
        alarms.fired(name)
        if name == IDLE and parts and self.is_idle(context, alarms):
            if count:
                self._tell(context, parts)
            parts, count = [], 0
        self._keep(context, parts, count, alarms)

    def shown(self, name: str, value: Any) -> Any:  # noqa: ARG002 # there is one entry
        return [
            {"start": first, "end": last, **self.accumulator.result(accumulator)}
            for first, last, accumulator in value[0]
        ]

    def _tell(self, context: KeyedContext, parts: list[list[Any]]) -> None:
        accumulator = self.merged([copy_of(parts[0][2]), *(part[2] for part in parts[1:])])
        start, end = min(part[0] for part in parts), max(part[1] for part in parts)
        context.forward(self.result(context, start, end, accumulator), timestamp_ms=end)

    def _keep(
        self, context: KeyedContext, parts: list[list[Any]], count: int, alarms: Alarms
    ) -> None:
        if parts:
            context.put("", [parts, count, alarms.entry])
        else:
            self.stop(context, alarms)
            context.delete()


def _load(context: KeyedContext) -> tuple[list[list[Any]], int, Alarms]:
    entry = context.get()
    if entry is None:
        return [], 0, Alarms(None)
    return list(entry[0]), entry[1], Alarms(entry[2])
