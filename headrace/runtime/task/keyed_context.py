"""What a keyed action sees: `KeyedContext`, over the state and the timers of one stage in one task."""

from collections.abc import Callable, Iterator
from heapq import merge
from typing import TYPE_CHECKING, Any

from headrace.runtime.contracts.action import TimerKind
from headrace.runtime.state.layout import end_of, entries_of, entry_key, split_entry
from headrace.runtime.task.emission import run_as_json

if TYPE_CHECKING:
    from headrace.runtime.task.keyed_stage import KeyedStage


class Context:
    """The context of one call at a time: what the action does is noted, and carried out when the call has returned."""

    def __init__(self, stage: "KeyedStage") -> None:
        self._stage = stage
        self._state = stage.state
        self.key = b""
        self.input = ""
        self.timestamp_ms = -1
        self.now_ms = 0
        self.puts: dict[bytes, tuple[Any, int | None]] = {}
        self.actions: list[Callable[[], None]] = []

    def begin(self, key: bytes, sender: str, timestamp_ms: int, now_ms: int) -> None:
        """Stand for another call."""
        self.key = key
        self.input = sender
        self.timestamp_ms = timestamp_ms
        self.now_ms = now_ms
        if self.puts:
            self.puts = {}
        if self.actions:
            self.actions = []

    @property
    def watermark_ms(self) -> int:
        return self._stage.watermark

    @property
    def run(self) -> Any:
        message = self._stage.record
        return None if message is None else run_as_json(message)

    def get(self, name: str = "") -> Any:
        entry = entry_key(self.key, name)
        noted = self.puts.get(entry)
        return self._state.get(entry) if noted is None else noted[0]

    def items(self, start: str = "", end: str | None = None) -> Iterator[tuple[str, Any]]:
        prefix = entries_of(self.key)
        first = prefix + start.encode()
        last = end_of(prefix) if end is None else prefix + end.encode()
        stored = self._state.range(self.key, first, last)
        noted = sorted(entry for entry in self.puts if first <= entry < last)
        if not noted:
            for entry, value in stored:
                yield split_entry(entry)[1], value
            return
        ours = ((entry, self.puts[entry][0]) for entry in noted)
        before = None
        for entry, value in merge(ours, stored, key=_entry_of):  # of equal entries, ours first
            if entry != before and value is not None:
                yield split_entry(entry)[1], value
            before = entry

    def put(self, name: str, value: Any, *, ttl_ms: int | None = None) -> None:
        expires_ms = None
        if ttl_ms is not None:
            is_wall = self._stage.action.ttl_kind == "wall"
            expires_ms = max(self.now_ms if is_wall else self.watermark_ms, 0) + ttl_ms
        self.puts[entry_key(self.key, name)] = (value, expires_ms)

    def delete(self, name: str = "") -> None:
        self.puts[entry_key(self.key, name)] = (None, None)

    def set_timer(self, name: str, at_ms: int, *, kind: TimerKind = "event") -> None:
        key = self.key
        self.actions.append(lambda: self._stage.set_timer(kind, key, name, at_ms))

    def cancel_timer(self, name: str, *, kind: TimerKind = "event") -> None:
        key = self.key
        self.actions.append(lambda: self._stage.timers[kind].cancel(key, name))

    def forward(
        self, event: Any, *, timestamp_ms: int | None = None, to: str = "", run: Any = None
    ) -> None:
        self.actions.append(lambda: self._stage.forward(event, timestamp_ms, to, run))

    def late(self, event: Any) -> None:
        self.actions.append(lambda: self._stage.forward_late(event))

    def lookup(self, key: bytes) -> Any:
        return self._stage.lookup(key)

    def send(self, key: bytes, event: Any) -> None:
        timestamp_ms = self.timestamp_ms
        self.actions.append(lambda: self._stage.send(key, event, timestamp_ms))

    def at_commit(self) -> None:
        key = self.key
        self.actions.append(lambda: self._stage.ask_for_commit(key))


def _entry_of(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]
