"""A stage of one task that calls the outside: what waits for its call, what came of it, and what is to be tried again."""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Message
from headrace.runtime.contracts.call import Call
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import RecordError
from headrace.runtime.graph import Node
from headrace.runtime.state.layout import (
    ENTRY,
    end_of,
    entry_key,
    split_entry,
    split_timer,
)
from headrace.runtime.state.stage_state import StageState
from headrace.runtime.state.timers import NEVER, Timers
from headrace.runtime.task.calling import StageCalls
from headrace.runtime.task.emission import Emission, message_of, run_as_json, with_time_and_key
from headrace.runtime.task.pending import Done, Later, Pending, Refused, Result
from headrace.runtime.task.records import CALL, REPLAY, SOURCE_TOPIC, header, origin_run, run_of
from headrace.runtime.task.stage import Functions
from headrace.runtime.task.stored_stage import StoredStage

if TYPE_CHECKING:
    from headrace.runtime.task.task import Task

logger = logging.getLogger(__name__)

PENDING_MAX = 10_000
"""Records that wait for a call at most, before the calls are made in the midst of a batch."""
KEYLESS = b"\0run "
"""What the place of a record without a key begins with."""


class CallStage(StoredStage):
    """Collects records for one `BatchAction`, and sends on what came of their calls. Belongs to the member's thread.

    Records of one key stay in order: while one waits in the state, those behind it wait there, too.

    Args:
        drain: makes all calls that are pending, of all stages.
        is_multiplied: whether a run may call several times.
    """

    def __init__(
        self,
        task: "Task",
        node: Node,
        *,
        store: Store,
        region: bytes,
        clock: Clock,
        calls: StageCalls,
        drain: Callable[[], None],
        is_multiplied: bool,
    ) -> None:
        assert node.calling is not None
        super().__init__(task, node, region)
        self.calls = calls
        self.pending: list[Pending] = []
        self._policy = node.calling
        self._clock = clock
        self._drain = drain
        self._is_multiplied = is_multiplied
        self._held_ms = NEVER
        self.state = StageState(store, region, clock.now_ms)
        self._timers = Timers(self.state, b"w")
        self._waiting: dict[bytes, deque[str]] = {}
        self._waiting_count = 0
        self._record = ""  # the one that calls were asked for last
        self._ids: dict[str, int] = {}  # how many of its calls have each name
        self._forward: Callable[..., None]
        self._refused: Callable[..., None]
        self._find_waiting()

    def _find_waiting(self) -> None:
        """What waits in the state, per key in order."""
        self._waiting = {}
        self._waiting_count = 0
        begin = self.region + ENTRY
        for found, _ in self.state.store.range(begin, end_of(begin)):
            key, name = split_entry(found[len(self.region) :])
            self._note_waiting(key, name)

    def _note_waiting(self, key: bytes, name: str) -> None:
        self._waiting.setdefault(key, deque()).append(name)
        self._waiting_count += 1

    def bind(self, functions: Functions) -> None:
        self._forward = functions["forward"]
        self._refused = functions["refused"]

    @property
    def is_full(self) -> bool:
        """Whether so many records wait that no more should come."""
        return self._waiting_count >= self._policy.waiting_max

    @property
    def waiting_count(self) -> int:
        """How many records wait in the state."""
        return self._waiting_count

    # ---- records

    def on_record(
        self,
        message: Message,
        event: Any,
        key: bytes | None,
        timestamp_ms: int,
        is_own: bool,  # called by generated code, by position
        arguments: Mapping[str, Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Let a record wait for its call."""
        is_emission = isinstance(message, Emission)
        call = Call(event, arguments, key, timestamp_ms, self._id_of(message, event, is_emission))
        if is_emission or not is_own:  # an emission is used again for the next one
            message = with_time_and_key(message, key, timestamp_ms)
        place = KEYLESS + call.id.encode() if key is None else key
        one = Pending(message, call, place, given)
        if place in self._waiting:
            self._keep(one, None)
            return
        self.pending.append(one)
        self._held_ms = min(self._held_ms, timestamp_ms)
        if len(self.pending) >= PENDING_MAX:
            self._drain()

    def _id_of(self, message: Message, event: Any, is_emission: bool) -> str:
        """Run and stage, and what tells this call from others of the run; the same when the record comes again.

        Where a run may call several times, its own record tells how many calls it has led to so far. But behind a topic, and
        behind stages with state, its events come one by one, in any order, so that they themselves must tell. What was sent
        back to this stage is called for as before; to another one, as none of its run was before.
        """
        if header(message, REPLAY) == self.node.name.encode() and (told := header(message, CALL)):
            return told.decode()
        run, record = origin_run(message), run_of(message)
        name = f"{run}/{self.node.stage.slug}"
        if header(message, SOURCE_TOPIC) is not None:
            name += f"/replay-{message.partition()}-{message.offset()}"
        elif self._is_multiplied and (is_emission or run != record):
            name += f"/{_digest(event)}"
        if record != self._record:
            self._record, self._ids = record, {}
        count = self._ids[name] = self._ids.get(name, -1) + 1
        return f"{name}/{count}" if count else name

    def taken(self) -> list[Pending]:
        """What is to be called for now. Each must be told of by `deliver`."""
        pending, self.pending = self.pending, []
        return pending

    def deliver(self, pendings: Sequence[Pending], results: Sequence[Result]) -> None:
        """Send on what came of the calls, in the order in which the records came."""
        for one, result in zip(pendings, results, strict=True):
            if isinstance(result, Later):
                one.failures = result.failures
                self._keep(one, result.due_ms)
                continue
            self._drop(one)
            if isinstance(result, Done):
                for event in result.events:
                    self._forward(one.message, event, one.given)
            else:
                self._refuse(one, result)
        # Not before: for the stages behind, none of these records is late.
        self._held_ms = min((one.call.timestamp_ms for one in self.pending), default=NEVER)

    def _refuse(self, one: Pending, result: Refused) -> None:
        error = result.error
        if isinstance(error, RecordError):
            error = error.with_traceback(None)  # its words are fit to be told, wherever it was made
        if result.failures > 1:
            notes = getattr(error, "__notes__", None)
            said = "" if notes else f"{error} "
            error.add_note(f"{said}(after {result.failures} attempts)")
        given = {**(one.given or {}), CALL: one.call.id}
        self._refused(one.message, one.call.event, error, given)

    # ---- what waits

    def _keep(self, one: Pending, due_ms: int | None) -> None:
        """Let a record wait in the state, until a time, or behind the one before it."""
        if one.entry is None:
            names = self._waiting.get(one.place)
            number = int(names[-1], 16) + 1 if names else 0
            one.entry = f"{number:016x}"
            self._note_waiting(one.place, one.entry)
        call = one.call
        self.state.put(
            entry_key(one.place, one.entry),
            {
                "event": call.event,
                "arguments": dict(call.arguments),
                "key": call.key,
                "timestamp": call.timestamp_ms,
                "id": call.id,
                "run": run_as_json(one.message),
                "given": dict(one.given) if one.given else None,
                "failures": one.failures,
                "due": due_ms,
            },
        )
        if due_ms is not None and self._waiting[one.place][0] == one.entry:
            self._timers.set(one.place, "", due_ms)

    def _drop(self, one: Pending) -> None:
        """A record that waited in the state does so no more; the next one of its key is due."""
        if one.entry is None:
            return
        names = self._waiting[one.place]
        names.remove(one.entry)
        self._waiting_count -= 1
        self.state.put(entry_key(one.place, one.entry), None)
        one.entry = None
        if names:
            self._timers.set(one.place, "", self._clock.now_ms())
        else:
            del self._waiting[one.place]

    def _take_up(self, place: bytes) -> None:
        """Call for the first record of a key again."""
        names = self._waiting.get(place)
        if not names:
            return
        kept = self.state.get(entry_key(place, names[0]))
        # Behind the watermark it would be late for what comes behind.
        timestamp_ms = max(kept["timestamp"], self.watermark)
        call = Call(kept["event"], kept["arguments"], kept["key"], kept["timestamp"], kept["id"])
        message = message_of(kept["run"], kept["key"], timestamp_ms)
        one = Pending(message, call, place, kept["given"], kept["failures"], names[0])
        self.pending.append(one)

    # ---- time

    def event_due(self) -> int:
        return NEVER

    def held_ms(self) -> int:
        return self._held_ms

    def wall_due(self) -> int:
        return self._timers.due()

    def fire(self) -> None:
        """Nothing is due by event time."""

    def fire_wall(self, now_ms: int, quiet_ms: int) -> None:  # noqa: ARG002 # idleness matters to folds only
        while len(self.pending) < PENDING_MAX and (found := self._timers.pop(now_ms)) is not None:
            self._take_up(split_timer(found[0])[1])

    # ---- the commit

    def before_commit(self) -> None:
        """Nothing waits for the commit itself."""

    def abort(self) -> None:
        self.state.abort()
        self._timers.reset()
        self.pending = []
        self._record, self._ids = "", {}
        self._held_ms = NEVER
        self._find_waiting()

    def counted_late(self) -> int:
        return 0


def _digest(event: Any) -> str:
    try:
        text = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        text = repr(event).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
