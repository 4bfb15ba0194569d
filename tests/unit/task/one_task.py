"""One task by itself: its stages over a store in memory, fed as generated code feeds them, and what they send on."""

from collections.abc import Mapping
from typing import Any

from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.state.layout import Changes, region_of
from headrace.runtime.state.memory_store import MemoryStore
from headrace.runtime.task.event_time import Input
from headrace.runtime.task.fold_stage import FoldStage
from headrace.runtime.task.task import Task
from tests.unit.running import NOW_MS, plans_of

IN = TopicPartition("in", 0)
FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: it}
  - {name: it, action: reduce, config: {%s, aggregate: {n: count()}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
Result = tuple[str, int, int]
"""Key, end of the window, count."""


class FoldTask:
    """A task of one stage that counts records per key; `results` are those sent on since the last commit began."""

    def __init__(self, config: str, store: Store | None = None) -> None:
        (plan,) = plans_of(FLOW % config)
        self.clock = ManualClock(NOW_MS)
        self.store = store or MemoryStore()
        self.region = region_of(1, 0)
        self.results: list[Result] = []
        self.late: list[str] = []
        self.committed: list[Result] = []
        self.changelog: dict[bytes, bytes] = {}
        self.task = Task("flow", plan.sub_topologies[0], 0)
        self.input: Input = self.task.add_input(IN, None)
        node = plan.graph.by_name["it"]
        self.stage = FoldStage(
            self.task, node, store=self.store, region=self.region, clock=self.clock
        )
        self.task.add_stage(self.stage)
        self.stage.bind({"result": self._sent})
        self.task.runs[IN] = [self._run]
        self.task.recall()
        self._offset = 0

    def _sent(
        self, emission: Any, key: bytes, start: int, end: int, accumulator: list[Any]
    ) -> None:
        assert emission.key() == key
        self.results.append((key.decode(), end, accumulator[0]))

    def records(self, *given: tuple[str, int]) -> None:
        """Process records, given as key and time, in one batch."""
        self.task.run(IN, [self._message(*one) for one in given])

    def _message(self, key: str, time: int) -> MemoryMessage:
        self._offset += 1
        return MemoryMessage("in", 0, self._offset, key.encode(), b"{}", None, 1, time)

    def _run(self, messages: Any, clock: Input) -> None:
        """What generated code does."""
        width = self.stage._fold.bin_ms
        for message in messages:
            time = message.timestamp()[1]
            if time > clock.high:
                clock.high = time
                if time >= clock.due:
                    clock.advance()
            if not width:
                kept = self.stage.recall_key(message.key())
                kept[0] += 1
                self.stage.keep_key(message.key(), kept, time)
                continue
            start = time - time % width
            changed = self.stage.live.get(start)
            if changed is None:
                changed = self.stage.open(start)
            if changed is None:
                self.stage.late(message, None)
                self.late.append(message.key().decode())
                continue
            accumulator = changed.get(message.key())
            if accumulator is None:
                accumulator = self.stage.load(start, message.key())
            accumulator[0] += 1
            changed[message.key()] = accumulator

    def work(self, budget: int = 1_000_000) -> int:
        return self.task.work(budget)

    def write(self) -> Mapping[bytes, bytes | None]:
        """The part of a commit inside of the transaction; the changelog records by key."""
        self.task.before_commit()
        records = self.stage.records(self.task.remembered())
        assert len({key for key, _ in records}) == len(records), "a key was written twice"
        return dict(records)

    def commit(self, *, is_flushed: bool = True) -> Mapping[bytes, bytes | None]:
        written = self.write()
        for key, value in written.items():
            if value is None:
                self.changelog.pop(key, None)
            else:
                self.changelog[key] = value
        changes = self.stage.changes()
        self.store.write(changes.puts, changes.deletes)
        self.task.committed()
        self.committed += self.results
        self.results = []
        if is_flushed:
            self.flush()
        return written

    def flush(self) -> None:
        changes = Changes([], [])
        cleared = self.stage.flush(changes)
        self.store.write(changes.puts, changes.deletes, cleared)

    def abort(self) -> None:
        self.results = []
        self.task.abort()

    def stored(self) -> dict[bytes, bytes]:
        """The entries of the store, without what is derived from them."""
        size = len(self.region)
        found = self.store.range(self.region, region_of(1, 1))
        return {key[size:]: value for key, value in found if key[size : size + 1] in b"kwnm"}


def restarted(task: FoldTask, config: str) -> FoldTask:
    """The same task in a new process, with what the store has."""
    return FoldTask(config, task.store)
