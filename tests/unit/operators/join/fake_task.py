"""One keyed action in one task, with nothing of the engine: what the contract of `KeyedAction` says, in memory."""

import copy
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from headrace.runtime.contracts.action import SELF, TABLE, Action, KeyedAction, TimerKind

KEY = b"k"
FIRED_MAX = 1_000
"""Timers that one step of the watermark may fire."""


class Forwarded(NamedTuple):
    """An event that went on."""

    event: Any
    timestamp_ms: int
    key: bytes = KEY
    to: str = ""


def action_of(
    kind: type[Action], config: dict[str, Any], inputs: Sequence[str] = ("a", "b")
) -> KeyedAction:
    """The action of a stage with this config behind these stages; what is wrong with it is an error."""
    made = kind(kind.Config.model_validate(config))
    assert list(made.problems()) == []
    action = made.specialised()
    assert isinstance(action, KeyedAction)
    assert list(action.check_inputs(inputs)) == []
    return action


class FakeTask:
    """Processes records one by one; the watermark is the largest time seen, or what `advance` says.

    Events that the action sends to itself wait in `sent` until `deliver`; those of one sending key stay in their order.
    """

    def __init__(self, action: KeyedAction) -> None:
        self.action = action
        self.watermark_ms = -1
        self.state: dict[tuple[bytes, str], Any] = {}
        self.timers: dict[tuple[bytes, str], int] = {}
        self.forwarded: list[Forwarded] = []
        self.late: list[Any] = []
        self.table: dict[bytes, Any] = {}
        self.sent: dict[bytes, deque[tuple[bytes, Any, int]]] = {}

    def record(self, sender: str, event: Any, time_ms: int = 0, key: bytes = KEY) -> None:
        """A record comes; what it makes due is fired first."""
        self.advance(time_ms)
        self._call(key, sender, time_ms, lambda context: self.action.on_record(context, event))
        self.advance(self.watermark_ms)

    def row(self, row: Any, time_ms: int = 0, key: bytes = KEY) -> None:
        """A record of the stage's own table comes."""
        self.record(TABLE, row, time_ms, key)

    def advance(self, time_ms: int) -> None:
        """The watermark goes on, and fires what it passes."""
        self.watermark_ms = max(self.watermark_ms, time_ms)
        fired = 0
        while due := [
            (at, key, name) for (key, name), at in self.timers.items() if at <= self.watermark_ms
        ]:
            at, key, name = min(due)
            fired += 1
            assert fired < FIRED_MAX, "a timer is set again and again for a time that has passed"
            del self.timers[key, name]
            self._fire(key, name, at)

    def _fire(self, key: bytes, name: str, at: int) -> None:
        self._call(key, "", at, lambda context: self.action.on_timer(context, name, at, "event"))

    def deliver(self, sender: bytes | None = None) -> None:
        """Process the next event that this key has sent, or everything that was sent and what comes of it."""
        while senders := [key for key, events in self.sent.items() if events]:
            key, event, time_ms = self.sent[senders[0] if sender is None else sender].popleft()
            self._call(
                key,
                SELF,
                time_ms,
                lambda context, event=event: self.action.on_record(context, event),
            )
            if sender is not None:
                return

    def take(self) -> list[tuple[Any, int]]:
        """Events and their times that went on since this was last asked."""
        taken, self.forwarded = self.forwarded, []
        return [(one.event, one.timestamp_ms) for one in taken]

    def _call(self, key: bytes, sender: str, time_ms: int, call: Any) -> None:
        context = _Context(self, key, sender, time_ms)
        before = copy.deepcopy(self.state)
        call(context)
        assert self.state == before, "a stored value was changed in place"
        context.carry_out()


class _Context:
    """What was written counts once the call has returned, as in the engine."""

    def __init__(self, task: FakeTask, key: bytes, sender: str, time_ms: int) -> None:
        self._task = task
        self._puts: dict[str, Any] = {}
        self._timers: dict[str, int | None] = {}
        self._forwarded: list[Forwarded] = []
        self._late: list[Any] = []
        self._sent: list[tuple[bytes, Any, int]] = []
        self.key = key
        self.input = sender
        self.timestamp_ms = time_ms
        self.watermark_ms = task.watermark_ms
        self.now_ms = 0
        self.run = None

    def get(self, name: str = "") -> Any:
        return self._puts.get(name, self._task.state.get((self.key, name)))

    def items(self, start: str = "", end: str | None = None) -> Iterator[tuple[str, Any]]:
        names = {name for key, name in self._task.state if key == self.key} | self._puts.keys()
        for name in sorted(names, key=str.encode):
            is_within = start.encode() <= name.encode() and (
                end is None or name.encode() < end.encode()
            )
            value = self._puts[name] if name in self._puts else self.get(name)
            if is_within and value is not None:
                yield name, value

    def put(self, name: str, value: Any, *, ttl_ms: int | None = None) -> None:
        assert value is not None
        self._puts[name] = value

    def delete(self, name: str = "") -> None:
        self._puts[name] = None

    def set_timer(self, name: str, at_ms: int, *, kind: TimerKind = "event") -> None:
        assert kind == "event"
        self._timers[name] = at_ms

    def cancel_timer(self, name: str, *, kind: TimerKind = "event") -> None:
        self._timers[name] = None

    def forward(
        self, event: Any, *, timestamp_ms: int | None = None, to: str = "", run: Any = None
    ) -> None:
        assert not to or to in self._task.action.outputs()
        time_ms = self.timestamp_ms if timestamp_ms is None else timestamp_ms
        self._forwarded.append(Forwarded(event, time_ms, self.key, to))

    def late(self, event: Any) -> None:
        self._late.append(event)

    def lookup(self, key: bytes) -> Any:
        return self._task.table.get(key)

    def send(self, key: bytes, event: Any) -> None:
        assert self._task.action.sends
        self._sent.append((key, event, self.timestamp_ms))

    def at_commit(self) -> None:
        raise AssertionError("joins ask for no commit")

    def carry_out(self) -> None:
        task = self._task
        for name, value in self._puts.items():
            if value is None:
                task.state.pop((self.key, name), None)
            else:
                task.state[self.key, name] = value
        for name, at_ms in self._timers.items():
            if at_ms is None:
                task.timers.pop((self.key, name), None)
            else:
                task.timers[self.key, name] = at_ms
        task.forwarded += self._forwarded
        task.late += self._late
        task.sent.setdefault(self.key, deque()).extend(self._sent)
