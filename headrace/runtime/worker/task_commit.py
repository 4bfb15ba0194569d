"""The tasks' part in the commit: what they changed goes to the changelogs in the transaction, and to the store after it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, Producer, TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import BrokerUnavailableError
from headrace.runtime.state.layout import Changes, checkpoint
from headrace.runtime.task.program import Program
from headrace.runtime.task.task import Task
from headrace.runtime.worker.markers import Markers
from headrace.runtime.worker.migrations import Migrations
from headrace.runtime.worker.standing import TaskId
from headrace.runtime.worker.task_calls import TaskCalls
from headrace.runtime.worker.task_states import TaskStates

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
WAITING_MAX = 100_000
"""Committed entries that wait for the store at most, before it is written ahead of time."""


class TaskCommit:
    """Belongs to the member's thread. Fulfils `task.commit.State`.

    Args:
        ready: the tasks that run.
        proof_s: for how long after a commit was accepted the group cannot have given the tasks away.
    """

    def __init__(
        self,
        states: TaskStates,
        *,
        program: Program,
        producer: Producer,
        store: Store,
        admin: Admin,
        clock: Clock,
        markers: Markers,
        migrations: Migrations,
        ready: Callable[[], Iterable[Task]],
        proof_s: float,
        calls: TaskCalls,
    ) -> None:
        self._states = states
        self._program = program
        self._producer = producer
        self._store = store
        self._admin = admin
        self._clock = clock
        self._markers = markers
        self._migrations = migrations
        self._ready = ready
        self._proof_s = proof_s
        self._calls = calls
        self._touched: dict[TaskId, Task] = {}
        self._unnoted: set[TopicPartition] = set()
        self._flush_s = 0.0
        self._begun_s = 0.0
        self._late: Counter[tuple[str, str]] = Counter()

    def touch(self, task: Task) -> None:
        """Note that a task has done something in this transaction."""
        self._touched[task.id] = task

    def forget(self, task: Task) -> None:
        """The task is another member's now."""
        self._touched.pop(task.id, None)
        self._migrations.forget(task.id)
        self._markers.forget(task)
        # Its changelogs' ends are the next owner's from now on: a checkpoint there would skip what is not in this store.
        self._unnoted.difference_update(self._states.changelogs(task))

    # ---- in the transaction

    @property
    def is_touched(self) -> bool:
        """Whether anything may have to be committed."""
        return bool(self._touched) or self._migrations.has_changes

    def before_commit(self) -> None:
        """Send on what waits for the commit, and how far the tasks have come."""
        for task in list(self._touched.values()):
            self._program.enter(task)
            task.before_commit()
        for task in self._calls.drain(self._ready()):
            self.touch(task)
        self._markers.write(self._touched.values())

    def write_changelog(self) -> None:
        self._begun_s = self._clock.monotonic_s()
        for task in self._touched.values():
            remembered = task.remembered()
            for changelog, stage in zip(self._states.changelogs(task), task.stages, strict=True):
                records = stage.records(remembered)
                if records:
                    self._write_records(changelog, records)
        for changelog, records in self._migrations.records():
            self._write_records(changelog, records)

    def _write_records(
        self, changelog: TopicPartition, records: list[tuple[bytes, bytes | None]]
    ) -> None:
        topic, partition = changelog
        produce, later = self._producer.produce, self._program.produce_later
        for key, value in records:
            try:
                produce(topic, value, key, partition)
            except BufferError:
                later(topic, value, key, partition)
        self._unnoted.add(changelog)

    # ---- after it

    def write_stores(self, positions: Mapping[TopicPartition, int]) -> None:  # noqa: ARG002 # changelogs tell
        changes = Changes([], [])
        for task in self._touched.values():
            for stage in task.stages:
                found = stage.changes()
                changes.puts.extend(found.puts)
                changes.deletes.extend(found.deletes)
        self._migrations.changes(changes)
        if changes.puts or changes.deletes:
            self._store.write(changes.puts, changes.deletes)
        self._migrations.committed()
        for task in self._touched.values():
            task.committed()
            for stage in task.stages:
                self._late[task.flow, stage.node.name] += stage.counted_late()
        self._touched = {}
        self._markers.committed()
        self._calls.committed()
        waiting = sum(stage.waiting for task in self._ready() for stage in task.stages)
        if waiting > WAITING_MAX or self._clock.monotonic_s() >= self._flush_s:
            self.flush()

    def flush_entries(self) -> None:
        """When it is time, write what was committed and waits for the store, without the checkpoints. Only between transactions.

        So that what was committed last can be looked up although nothing more comes. Nothing has shown just now that the
        tasks are still this member's, and a checkpoint must not count what their next owner writes.
        """
        if self._clock.monotonic_s() < self._flush_s:
            return
        self._flush_s = self._clock.monotonic_s() + FLUSH_EVERY_S
        self._write_waiting(())

    def flush(self) -> None:
        """Write what was committed and waits for the store, with the checkpoints, in one batch.

        Only between a commit and the next transaction. A checkpoint may lag behind what is in the store: records that are read
        twice are put twice. It must never run ahead.
        """
        self._flush_s = self._clock.monotonic_s() + FLUSH_EVERY_S
        self._write_waiting(self._checkpoints())

    def _write_waiting(self, checkpoints: Iterable[tuple[bytes, bytes]]) -> None:
        changes = Changes([], [])
        cleared: list[tuple[bytes, bytes]] = []
        for task in self._ready():
            for stage in task.stages:
                cleared += stage.flush(changes)
        changes.puts.extend(checkpoints)
        if changes.puts or changes.deletes or cleared:
            self._store.write(changes.puts, changes.deletes, cleared)

    @property
    def has_unnoted(self) -> bool:
        """Whether the changelogs have gone on behind their checkpoints."""
        return bool(self._unnoted)

    def _checkpoints(self) -> list[tuple[bytes, bytes]]:
        """How far the store has come, told by the ends of the changelogs: all that is in them was committed just now.

        It was this member that wrote them, as long as the group cannot have given its tasks away since the commit was accepted.
        """
        if not self._unnoted:
            return []
        try:
            ends = self._admin.ends(self._unnoted)
        except BrokerUnavailableError as error:
            logger.warning("the ends of %d changelogs were not told: %s", len(self._unnoted), error)
            return []
        if self._clock.monotonic_s() - self._begun_s > self._proof_s:
            return []  # the next commit will tell
        self._unnoted = set()
        return [checkpoint(self._states.region(changelog), end) for changelog, end in ends.items()]

    # ---- otherwise

    def counted_late(self) -> Counter[tuple[str, str]]:
        """Late records per (flow, stage) of the commits since this was last asked."""
        counts, self._late = self._late, Counter()
        return counts

    def abort(self) -> None:
        """Everything is as it was at the last commit."""
        for task in self._touched.values():
            task.abort()
        self._touched = {}
        self._migrations.abort()
        self._markers.abort()
