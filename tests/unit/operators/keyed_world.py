"""One keyed action with state, timers and a manual clock, and nothing of the engine: what its contract says, in memory."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from headrace.runtime.contracts.action import Action, KeyedAction, TimerKind
from headrace.runtime.errors import RecordError

NOW_MS = 1_700_000_000_000


class Forward(NamedTuple):
    """An event that went on. `at_ms` is the wall clock of that moment."""

    key: bytes
    event: Any
    timestamp_ms: int
    to: str
    at_ms: int


def action_of(kind: type[Action], **config: Any) -> Action:
    """The action of a stage with this config, as the graph check makes it; its problems are errors."""
    action = kind(kind.Config.model_validate(config))
    problems = list(action.problems())
    if problems:
        raise ValueError("; ".join(problems))
    return action.specialised()


class KeyedWorld:
    """Runs a keyed action on records of one partition; the grouping key is given with each record."""

    def __init__(
        self, action: type[Action], *, inputs: tuple[str, ...] = ("in",), **config: Any
    ) -> None:
        made = action_of(action, **config)
        assert isinstance(made, KeyedAction)
        assert not list(made.check_inputs(inputs))
        self.action = made
        self.now_ms = NOW_MS
        self.watermark_ms = -1
        self.entries: dict[tuple[bytes, str], Any] = {}
        self.expiries: dict[tuple[bytes, str], int] = {}
        self.timers: dict[tuple[TimerKind, bytes, str], int] = {}
        self.asked: dict[bytes, None] = {}
        self.forwards: list[Forward] = []
        self.late: list[Any] = []
        self.refused: list[str] = []

    def record(
        self,
        event: Any,
        key: bytes = b"k",
        *,
        at: int = 0,
        sender: str = "in",
        is_ahead: bool = False,
    ) -> None:
        """Process a record of event time `at`; what the watermark makes due comes first. A refused record is noted.

        One that `is_ahead` does not move the watermark, since another partition holds it back.
        """
        if at > self.watermark_ms and not is_ahead:
            self.watermark_ms = at
            self._fire("event", at)
        context = _Context(self, key, sender, at)
        given = copy.deepcopy(event)
        try:
            self.action.on_record(context, event)
        except RecordError as error:
            self.refused.append(str(error))
        else:
            context.carry_out()
        assert repr(event) == repr(given), "the event was changed"
        self._fire("event", self.watermark_ms)

    def advance(self, ms: int) -> None:
        """Let the wall clock go on, firing timers at their moments."""
        end_ms = self.now_ms + ms
        while due := [
            at for (kind, *_), at in self.timers.items() if kind == "wall" and at <= end_ms
        ]:
            self.now_ms = max(self.now_ms, min(due))
            self._fire("wall", self.now_ms)
        self.now_ms = end_ms

    def advance_watermark(self, at: int) -> None:
        """Let event time go on without a record of any key of interest."""
        self.watermark_ms = max(self.watermark_ms, at)
        self._fire("event", self.watermark_ms)

    def commit(self) -> None:
        """Give the keys that asked for it their results of the commit."""
        asked, self.asked = self.asked, {}
        for key in asked:
            context = _Context(self, key, "", max(self.watermark_ms, 0))
            self.action.on_commit(context)
            context.carry_out()

    @property
    def events(self) -> list[Any]:
        """What went on to `out`, since this was last asked."""
        taken, self.forwards = self.forwards, []
        assert all(not one.to for one in taken)
        return [one.event for one in taken]

    def live(self) -> dict[tuple[bytes, str], Any]:
        """The entries that have not expired."""
        return {place: value for place, value in self.entries.items() if not self.is_over(place)}

    def is_over(self, place: tuple[bytes, str]) -> bool:
        now_ms = self.now_ms if self.action.ttl_kind == "wall" else self.watermark_ms
        return place in self.expiries and self.expiries[place] <= now_ms

    def _fire(self, kind: TimerKind, until_ms: int) -> None:
        while due := [
            (at, k, n) for (c, k, n), at in self.timers.items() if c == kind and at <= until_ms
        ]:
            at, key, name = min(due)
            del self.timers[kind, key, name]
            context = _Context(self, key, "", at if kind == "event" else max(self.watermark_ms, 0))
            self.action.on_timer(context, name, at, kind)
            context.carry_out()


class _Context:
    """What is written counts when the call has returned. Values are compared with what was put, to find changes in place."""

    def __init__(self, world: KeyedWorld, key: bytes, sender: str, timestamp_ms: int) -> None:
        self._world = world
        self._puts: dict[str, tuple[Any, int | None]] = {}
        self._read: list[tuple[Any, Any]] = []
        self._later: list[Any] = []
        self.key = key
        self.input = sender
        self.timestamp_ms = timestamp_ms
        self.watermark_ms = world.watermark_ms
        self.now_ms = world.now_ms
        self.run = ["in", 0, 0, []]

    def get(self, name: str = "") -> Any:
        if name in self._puts:
            return self._puts[name][0]
        value = self._world.live().get((self.key, name))
        self._read.append((value, copy.deepcopy(value)))
        return value

    def items(self, start: str = "", end: str | None = None) -> Iterator[tuple[str, Any]]:
        names = {name for key, name in self._world.live() if key == self.key} | self._puts.keys()
        for name in sorted(names, key=str.encode):
            data = name.encode()
            if start.encode() <= data and (end is None or data < end.encode()):
                value = self.get(name)
                if value is not None:
                    yield name, value

    def put(self, name: str, value: Any, *, ttl_ms: int | None = None) -> None:
        assert value is not None, "None deletes"
        assert ttl_ms is None or ttl_ms > 0
        now_ms = self.now_ms if self._world.action.ttl_kind == "wall" else self.watermark_ms
        self._puts[name] = value, None if ttl_ms is None else max(now_ms, 0) + ttl_ms

    def delete(self, name: str = "") -> None:
        self._puts[name] = None, None

    def set_timer(self, name: str, at_ms: int, *, kind: TimerKind = "event") -> None:
        self._later.append(lambda: self._world.timers.__setitem__((kind, self.key, name), at_ms))

    def cancel_timer(self, name: str, *, kind: TimerKind = "event") -> None:
        self._later.append(lambda: self._world.timers.pop((kind, self.key, name), None))

    def forward(
        self, event: Any, *, timestamp_ms: int | None = None, to: str = "", run: Any = None
    ) -> None:
        assert not to or to in self._world.action.outputs()
        time_ms = self.timestamp_ms if timestamp_ms is None else timestamp_ms
        one = Forward(self.key, event, time_ms, to, self.now_ms)
        self._later.append(lambda: self._world.forwards.append(one))

    def late(self, event: Any) -> None:
        self._later.append(lambda: self._world.late.append(event))

    def lookup(self, key: bytes) -> Any:
        raise AssertionError("no table")

    def send(self, key: bytes, event: Any) -> None:
        raise AssertionError("does not send")

    def at_commit(self) -> None:
        self._later.append(lambda: self._world.asked.__setitem__(self.key, None))

    def carry_out(self) -> None:
        assert all(value == before for value, before in self._read), "a stored value was changed"
        world = self._world
        for name, (value, expires_ms) in self._puts.items():
            place = (self.key, name)
            world.entries.pop(place, None)
            world.expiries.pop(place, None)
            if value is not None:
                world.entries[place] = value
            if expires_ms is not None:
                world.expiries[place] = expires_ms
        for act in self._later:
            act()
