"""`reduce` over sessions: records with pauses of at most `gap` between them."""

from dataclasses import dataclass
from typing import Any

from headrace.operators.reduce.accumulator import copy_of
from headrace.operators.reduce.clocks import CLOSE, EARLY, IDLE, Alarms, TimedReduce
from headrace.operators.reduce.config import in_ms
from headrace.runtime.contracts.action import KeyedContext, TimerKind
from headrace.runtime.task.records import decode_key


@dataclass
class Session:
    """One session of a key: times of its first and its last record, and what was sent of it.

    `told` is [start, end] of the last result that was sent, `replaced` those of sessions that became part of this one
    and whose results are to be taken back.
    """

    start: int
    end: int
    accumulator: list[Any]
    is_changed: bool
    told: list[int] | None
    replaced: list[list[int]]

    def entry(self) -> list[Any]:
        """What the state keeps."""
        return [
            self.start,
            self.end,
            self.accumulator,
            self.is_changed,
            self.told,
            self.replaced,
        ]


class SessionReduce(TimedReduce):
    """Sessions grow with every record, and become one when a record comes in between.

    State of a key: its open sessions, in order of time, and its alarms.
    """

    @property
    def gap_ms(self) -> int:
        assert self.window.session is not None  # this is what the action was chosen for
        return in_ms(self.window.session)

    @property
    def delay_ms(self) -> int:
        return self._closing_ms(0)

    def _closing_ms(self, end_ms: int) -> int:
        """The time at which a session is closed: one that is `gap` later still belongs to it."""
        return end_ms + self.gap_ms + self.grace_ms + 1

    def on_record(self, context: KeyedContext, event: Any) -> None:
        time, gap = context.timestamp_ms, self.gap_ms
        sessions, alarms = _load(context)
        near = [one for one in sessions if one.start - gap <= time <= one.end + gap]
        if not near and self._closing_ms(time) <= self.clock_ms(context):
            context.late(event)
            return
        session = self._joined(near, time)
        self.accumulator.add(session.accumulator, event, time, context.key)
        apart = [one for one in sessions if one.end + gap < time or time < one.start - gap]
        sessions = sorted([*apart, session], key=lambda one: one.start)
        self.noticed(context, alarms)
        self.changed(context, alarms)
        self._keep(context, sessions, alarms)

    def _joined(self, near: list[Session], time: int) -> Session:
        """The session that a record at this time belongs to, made of those that it touches."""
        if not near:
            return Session(time, time, self.accumulator.new(), True, None, [])
        start = min(near[0].start, time)
        told = [one.told for one in near if one.told is not None]
        return Session(
            start=start,
            end=max(near[-1].end, time),
            accumulator=self.merged(
                [copy_of(near[0].accumulator), *(one.accumulator for one in near[1:])]
            ),
            is_changed=True,
            told=next((one for one in told if one[0] == start), None),
            replaced=[
                *(one for session in near for one in session.replaced),
                *(one for one in told if one[0] != start),
            ],
        )

    def shown(self, name: str, value: Any) -> Any:  # noqa: ARG002 # there is one entry
        return [
            {"start": one.start, "end": one.end, **self.accumulator.result(one.accumulator)}
            for one in (Session(*entry) for entry in value[0])
        ]

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 # as its contract has it
        sessions, alarms = _load(context)
        alarms.fired(name)
        if name == CLOSE:
            clock_ms = max(at_ms, self.clock_ms(context))
            over = [one for one in sessions if self._closing_ms(one.end) <= clock_ms]
            self._tell(context, over, is_last=True)
            sessions = [one for one in sessions if self._closing_ms(one.end) > clock_ms]
        elif name == IDLE and sessions and self.is_idle(context, alarms):
            self._tell(context, sessions, is_last=True)
            sessions = []
        elif name == EARLY:
            self._tell(context, sessions)
        self._keep(context, sessions, alarms)

    def on_commit(self, context: KeyedContext) -> None:
        sessions, alarms = _load(context)
        if any(one.is_changed for one in sessions):
            self._tell(context, sessions)
            self._keep(context, sessions, alarms)

    def _tell(
        self, context: KeyedContext, sessions: list[Session], *, is_last: bool = False
    ) -> None:
        """Send the results of sessions that changed, or of final ones, behind those which they replace."""
        for session in sessions:
            if not session.is_changed and not (is_last and self.is_final):
                continue
            for start, end in session.replaced:
                event = {
                    "key": decode_key(context.key),
                    "start": start,
                    "end": end,
                    **self.accumulator.nothing(),
                    "merged_into": session.start,
                }
                context.forward(event, timestamp_ms=session.end)
            event = self.result(context, session.start, session.end, session.accumulator)
            context.forward(event, timestamp_ms=session.end)
            session.is_changed, session.replaced = False, []
            session.told = [session.start, session.end]

    def _keep(self, context: KeyedContext, sessions: list[Session], alarms: Alarms) -> None:
        if not sessions:
            self.stop(context, alarms)
            context.delete()
            return
        closing_ms = min(self._closing_ms(one.end) for one in sessions)
        alarms.set(context, CLOSE, closing_ms, self.clock_kind)
        context.put("", [[one.entry() for one in sessions], alarms.entry])


def _load(context: KeyedContext) -> tuple[list[Session], Alarms]:
    entry = context.get()
    if entry is None:
        return [], Alarms(None)
    return [Session(*one) for one in entry[0]], Alarms(entry[1])
