"""A keyed stage in one task that runs its action's own functions."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import KeyedAction, TimerKind
from headrace.runtime.contracts.broker import Message
from headrace.runtime.contracts.store import Store
from headrace.runtime.graph import Node
from headrace.runtime.state.layout import split_timer
from headrace.runtime.state.stage_state import StageState
from headrace.runtime.state.timers import NEVER, Timers
from headrace.runtime.task.emission import Emission, message_of, with_time_and_key
from headrace.runtime.task.keyed_context import Context
from headrace.runtime.task.records import no_key
from headrace.runtime.task.stage import Functions
from headrace.runtime.task.stored_stage import StoredStage

if TYPE_CHECKING:
    from headrace.runtime.task.task import Task


class KeyedStage(StoredStage):
    """Runs one `KeyedAction` for the keys of one task. Belongs to the member's thread.

    Args:
        lookup: the rows of the stage's global table.
        send: writes an event to the stage's own topic, by key, event and event time.
    """

    sweeps = True

    def __init__(
        self,
        task: "Task",
        node: Node,
        *,
        store: Store,
        region: bytes,
        clock: Clock,
        lookup: Callable[[bytes], Any],
        send: Callable[[bytes, Any, int], None],
    ) -> None:
        assert isinstance(node.action, KeyedAction)
        super().__init__(task, node, region)
        self.action = node.action
        self.lookup = lookup
        self.send = send
        self._clock = clock
        table = node.action.table()
        self._takes_keyless = table is not None and table.is_global  # keeps no state by key
        is_wall = node.action.ttl_kind == "wall"
        self.state = StageState(store, region, clock.now_ms if is_wall else self._expiry_ms)
        self.timers = {
            "event": Timers(self.state, b"e"),
            "wall": Timers(self.state, b"w"),
        }
        self._context = Context(self)
        self._asked: dict[bytes, None] = {}
        self._late = 0
        self.record: Message | None = None  # the one that the action is looking at
        self._message: Message = Emission(task.cause, None, -1)
        self._given: Mapping[str, Any] | None = None
        self._functions: Functions = {}
        self._routes: dict[str, Callable[..., None]] = {}

    def bind(self, functions: Functions) -> None:
        self._functions = functions
        self._routes = {"": functions["forward"]}
        for i, name in enumerate(self.action.outputs()):
            self._routes[name] = functions[f"route_{i}"]

    def _expiry_ms(self) -> int:
        return self.watermark

    # ---- records

    def on_record(
        self,
        message: Message,
        event: Any,
        key: bytes | None,
        timestamp_ms: int,
        sender: str,
        is_own: bool,  # called by generated code, by position
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Process a record. What the action raises is the record's failure, and changes nothing."""
        if key is None and not self._takes_keyless:
            no_key()
        context = self._context
        context.begin(key or b"", sender, timestamp_ms, self._clock.now_ms())
        self.record = message
        try:
            self.action.on_record(context, event)
        finally:
            self.record = None
        self._message = message if is_own else with_time_and_key(message, key, timestamp_ms)
        self._given = given
        self._carry_out(context)
        self._given = None

    def _carry_out(self, context: Context) -> None:
        for entry, (value, expires_ms) in context.puts.items():
            self.state.put(entry, value, expires_ms)
        actions, context.actions = context.actions, []
        if context.puts:
            context.puts = {}
        for action in actions:
            action()

    def forward(self, event: Any, timestamp_ms: int | None, to: str, run: Any) -> None:
        """Send an event on to the stages behind this one; their failures are their own."""
        message = self._message
        if run is not None:
            message = message_of(run, message.key(), message.timestamp()[1])
        if timestamp_ms is not None and timestamp_ms != message.timestamp()[1]:
            message = with_time_and_key(message, message.key(), timestamp_ms)
        self._routes[to](message, event, self._given)

    def forward_late(self, event: Any) -> None:
        """Count a late record and send it where late ones go."""
        self._late += 1
        if self.action.late_topic is not None:
            self._functions["late"](self._message, event)
        elif self.action.late_stage is not None:
            self._routes[self.action.late_stage](self._message, event)

    def set_timer(self, kind: TimerKind, key: bytes, name: str, at_ms: int) -> None:
        """Set a timer, and see to it that the task looks when it is due."""
        self.timers[kind].set(key, name, at_ms)
        if kind == "event":
            self._task.expect(self, at_ms)

    def ask_for_commit(self, key: bytes) -> None:
        """Call the action for this key before the next commit."""
        self._asked[key] = None

    # ---- time

    def event_due(self) -> int:
        return self.timers["event"].due()

    def held_ms(self) -> int:
        return NEVER

    def wall_due(self) -> int:
        return self.timers["wall"].due()

    def fire(self) -> None:
        self._fire("event", self.reached_ms)

    def fire_wall(self, now_ms: int, quiet_ms: int) -> None:  # noqa: ARG002 # idleness matters to folds only
        self._fire("wall", now_ms)

    def _fire(self, kind: TimerKind, until_ms: int) -> None:
        timers = self.timers[kind]
        while (found := timers.pop(until_ms)) is not None:
            _, key, name = split_timer(found[0])
            self._guarded(self._on_timer, key, name, found[1], kind)

    def _on_timer(self, key: bytes, name: str, at_ms: int, kind: TimerKind) -> None:
        timestamp_ms = at_ms if kind == "event" else max(self.watermark, 0)
        self._context.begin(key, "", timestamp_ms, self._clock.now_ms())
        self.action.on_timer(self._context, name, at_ms, kind)
        self._message = Emission(self._task.cause, key, timestamp_ms)
        self._carry_out(self._context)

    def _guarded(self, call: Callable[..., None], key: bytes, *arguments: Any) -> None:
        """Call the action where no generated code does: a failure is handled as that of a record of this stage."""
        message = Emission(self._task.cause, key, max(self.watermark, 0))
        self._functions["guarded"](message, call, key, *arguments)

    # ---- the commit

    def before_commit(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            for key in asked:
                self._guarded(self._on_commit, key)

    def _on_commit(self, key: bytes) -> None:
        timestamp_ms = max(self.watermark, 0)
        self._context.begin(key, "", timestamp_ms, self._clock.now_ms())
        self.action.on_commit(self._context)
        self._message = Emission(self._task.cause, key, timestamp_ms)
        self._carry_out(self._context)

    def abort(self) -> None:
        self.state.abort()
        self._asked.clear()
        for timers in self.timers.values():
            timers.reset()
        self._late = 0

    def counted_late(self) -> int:
        count, self._late = self._late, 0
        return count
