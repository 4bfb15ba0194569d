"""Two streams: records of one key that lie close enough in event time.

Names in the state of a key, where the time is a record's event time and the number counts the key's records:

======================= ================================= ===========================================
l or r, time, number    the record, of the left or right  kept for before + after + grace
p or q, time, number    1: it has not matched yet         left (p) and right (q), where that is reported
m                       [next number, due]                due: the time that the only timer is set for
======================= ================================= ===========================================
"""

import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from headrace.operators.join.config import JoinConfig, milliseconds
from headrace.operators.join.keyed_join import KeyedJoin, Side, refuse_null
from headrace.operators.join.names import moment, numbered, time_of
from headrace.runtime.contracts.action import KeyedContext, TimerKind
from headrace.runtime.duration import format_duration

META: Final = "m"
TIMER: Final = ""


class _Reach(NamedTuple):
    """One side: its names, and how far its records see into the other side's past and future."""

    side: Side
    entry: str
    pending: str
    behind_ms: int
    ahead_ms: int
    reports: bool

    def ends(self, time_ms: int, grace_ms: int) -> int:
        """When a record of this time cannot match any more: the first watermark past its window and the grace."""
        return time_ms + self.ahead_ms + grace_ms + 1


class StreamStreamJoin(KeyedJoin):
    """Buffers both sides, and reports what found no match once the watermark has passed its window.

    Differs from Kafka Streams where that contradicts itself: a record that was reported without a match does not match
    later, and one that comes when its window has been closed is late, not reported at once.
    """

    kind = "stream-stream join"

    def __init__(self, config: JoinConfig) -> None:
        super().__init__(config)
        before, after = config.before_ms, config.after_ms
        self._grace_ms = milliseconds(config.grace)
        self._kept_ms = before + after + self._grace_ms
        left = _Reach("left", "l", "p", before, after, config.type != "inner")
        right = _Reach("right", "r", "q", after, before, config.type == "outer")
        self._sides: Mapping[Side, tuple[_Reach, _Reach]] = {
            "left": (left, right),
            "right": (right, left),
        }

    @property
    def delay_ms(self) -> int:
        return self._kept_ms

    def detail(self) -> str:
        left = self._sides["left"][0]
        before, after = (
            format_duration(timedelta(milliseconds=ms)) for ms in (left.behind_ms, left.ahead_ms)
        )
        return f", from {before} before to {after} after"

    def on_record(self, context: KeyedContext, event: Any) -> None:
        refuse_null(event)
        own, other = self._sides[self._side(context.input)]
        time_ms, watermark_ms = context.timestamp_ms, context.watermark_ms
        has_matched = self._match(context, event, own, other)
        is_kept = time_ms + self._kept_ms >= watermark_ms
        is_open = own.ends(time_ms, self._grace_ms) > watermark_ms
        if not has_matched and not (is_open if own.reports else is_kept):
            context.late(event)
        elif is_kept:
            self._keep(context, event, own, is_pending=own.reports and not has_matched)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        now_ms = max(at_ms, context.watermark_ms)
        self._report(context, now_ms)
        due: list[int] = []
        for side, _ in self._sides.values():
            end = moment(side.entry, now_ms - self._kept_ms)
            for entry, _ in list(context.items(side.entry, end)):
                context.delete(entry)
            due += (time_of(entry) + self._kept_ms + 1 for entry in _first(context, side.entry))
            due += (
                side.ends(time_of(entry), self._grace_ms) for entry in _first(context, side.pending)
            )
        if not due:
            context.delete(META)
            return
        context.put(META, [context.get(META)[0], min(due)])
        context.set_timer(TIMER, min(due))

    def _match(self, context: KeyedContext, event: Any, own: _Reach, other: _Reach) -> bool:
        """Emit a result for every record of the other side that matches; whether there was one."""
        time_ms = context.timestamp_ms
        start = max(time_ms - own.behind_ms, context.watermark_ms - self._kept_ms)
        found = list(
            context.items(
                moment(other.entry, start), moment(other.entry, time_ms + own.ahead_ms + 1)
            )
        )
        for name, match in found:
            if other.reports:
                pending = other.pending + name[1:]
                if context.get(pending) is not None:
                    context.delete(pending)
            self._emit(context, own.side, event, match, max(time_ms, time_of(name)))
        return bool(found)

    def _keep(self, context: KeyedContext, event: Any, own: _Reach, *, is_pending: bool) -> None:
        number, due = context.get(META) or (0, None)
        time_ms = context.timestamp_ms
        context.put(numbered(own.entry, time_ms, number), event)
        ends = time_ms + self._kept_ms + 1
        if is_pending:
            context.put(numbered(own.pending, time_ms, number), 1)
            ends = own.ends(time_ms, self._grace_ms)
        if due is None or ends < due:
            due = ends
            context.set_timer(TIMER, due)
        context.put(META, [number + 1, due])

    def _report(self, context: KeyedContext, now_ms: int) -> None:
        """Emit, in the order of their times, the records whose windows ended without a match, and forget them."""
        ended: list[tuple[str, _Reach]] = []
        for side, _ in self._sides.values():
            if side.reports:
                last = now_ms - side.ahead_ms - self._grace_ms - 1
                names = context.items(side.pending, moment(side.pending, last + 1))
                ended += ((name, side) for name, _ in names)
        for name, side in sorted(ended, key=lambda found: found[0][1:]):
            entry = side.entry + name[1:]
            self._emit(context, side.side, context.get(entry), None, time_of(name))
            # Without its entry it cannot match a record that comes later, which would contradict what was reported.
            context.delete(entry)
            context.delete(name)

    def _emit(self, context: KeyedContext, side: Side, own: Any, other: Any, time_ms: int) -> None:
        left, right = (own, other) if side == "left" else (other, own)
        context.forward(self._result(context, left, right, time_ms), timestamp_ms=time_ms)


def _first(context: KeyedContext, prefix: str) -> list[str]:
    """The earliest name with a prefix, if there is one."""
    names = context.items(prefix, chr(ord(prefix) + 1))
    return [name for name, _ in itertools.islice(names, 1)]
