"""The tasks of a member: which there are, what they process, and their part in the commit."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import KeyedAction
from headrace.runtime.contracts.broker import (
    Admin,
    Consumer,
    Message,
    Producer,
    TopicPartition,
)
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import BrokerUnavailableError, FlowError, Problem
from headrace.runtime.plan import Plan, PlannedStore, SubTopology
from headrace.runtime.state.layout import (
    Changes,
    checkpoint,
    checkpoint_of,
    region_of,
    store_number,
)
from headrace.runtime.state.restore import Replica, RestoreProgress, Restorer
from headrace.runtime.task.fold_stage import FoldStage
from headrace.runtime.task.keyed_stage import SHAPE, KeyedStage
from headrace.runtime.task.program import Program
from headrace.runtime.task.stage import NEVER, TaskStage
from headrace.runtime.task.task import Task, delay_of
from headrace.runtime.worker.alignment import HELD_MAX, Alignment
from headrace.runtime.worker.global_tables import GlobalTables
from headrace.runtime.worker.markers import Markers
from headrace.runtime.worker.standing import Standing, TaskId
from headrace.runtime.worker.standbys import Standbys
from headrace.runtime.worker.topics import TopicsInUse

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
WAITING_MAX = 100_000
"""Committed entries that wait for the store at most, before it is written ahead of time."""
WORK_MAX = 20_000
"""Results of closed windows that are sent on between two batches."""


class Tasks:
    """Makes tasks when partitions come, and forgets them when they go. Belongs to the member's thread.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        program: Program,
        producer: Producer,
        consumer: Consumer,
        store: Store,
        restorer: Restorer,
        admin: Admin,
        clock: Clock,
        topics: TopicsInUse,
        idle_ms: int,
        proof_s: float,
        tables: GlobalTables,
        me: str,
        copies: int,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans if plan.is_stateful}
        self._program = program
        self._producer = producer
        self._consumer = consumer
        self._store = store
        self._restorer = restorer
        self._admin = admin
        self._clock = clock
        self._topics = topics
        self._idle_ms = idle_ms
        self._proof_s = proof_s
        self._tables = tables
        self._standbys = Standbys(
            list(self._plans.values()),
            me=me,
            copies=copies,
            admin=admin,
            clock=clock,
            replica=self._replica_of,
            follow=restorer.follow,
        )
        self._tasks: dict[TaskId, Task] = {}
        self._alignments: dict[TopicPartition, Alignment] = {}
        self._ahead: set[TopicPartition] = set()
        self._by_input: dict[TopicPartition, list[Task]] = {}
        self._waiting: dict[TaskId, set[TopicPartition]] = {}
        self._assigned: set[TopicPartition] = set()
        self._touched: dict[TaskId, Task] = {}
        self._read_at_ms: dict[TopicPartition, int] = {}
        self._unnoted: set[TopicPartition] = set()
        self._flush_s = 0.0
        self._commit_begun_s = 0.0
        self._markers = Markers(self._plans.values(), topics.partitions, self._write)
        self.late: Counter[tuple[str, str]] = Counter()
        self.standing = Standing()

    # ---- partitions

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Make the tasks of new partitions; those whose state must be restored first get no records until then."""
        self._assigned.update(partitions)
        now_ms = self._clock.now_ms()
        made: list[Task] = []
        for partition in partitions:
            self._read_at_ms[partition] = now_ms
            for plan, sub in self._subs(partition):
                task = self._task(plan, sub, partition.partition, made)
                task.quiet_since_ms = now_ms
                upstreams = plan.upstreams.get(partition.topic)
                names = None if upstreams is None else [up.name for up in upstreams]
                task.add_input(partition, names)
                self._by_input.setdefault(partition, []).append(task)
        self._restore(made)
        self._start_ready()
        paused = self.paused()
        if paused:
            self._consumer.pause(paused)

    def _subs(self, partition: TopicPartition) -> Iterable[tuple[Plan, SubTopology]]:
        for plan in self._plans.values():
            for sub in plan.sub_topologies:
                if self._program.reads(plan.name, sub, partition.topic):
                    yield plan, sub

    def _task(self, plan: Plan, sub: SubTopology, partition: int, made: list[Task]) -> Task:
        task_id = (plan.name, sub.id, partition)
        task = self._tasks.get(task_id)
        if task is None:
            task = self._tasks[task_id] = Task(plan.name, sub, partition)
            made.append(task)
        return task

    def _restore(self, tasks: Iterable[Task]) -> None:
        """Ask for the state of tasks that is not here yet."""
        replicas = {
            replica.changelog: (task, replica) for task in tasks for replica in self.replicas(task)
        }
        if not replicas:
            for task in tasks:
                self._waiting[_id(task)] = set()
            return
        ends = self._admin.ends(replicas)
        to_restore: list[Replica] = []
        for task in tasks:
            self._waiting[_id(task)] = set()
        for changelog, (task, replica) in replicas.items():
            end = ends.get(changelog, 0)
            known = checkpoint_of(self._store, replica.region)
            if end == (known or 0):
                self._restorer.release([changelog])
                continue
            self._waiting[_id(task)].add(changelog)
            to_restore.append(replica)
        self._restorer.restore(to_restore)

    def replicas(self, task: Task) -> Iterable[Replica]:
        """The state of a task, stage by stage."""
        plan = self._plans[task.flow]
        return self.replicas_of(plan, task.sub, task.partition)

    def replicas_of(self, plan: Plan, sub: SubTopology, partition: int) -> Iterable[Replica]:
        """The state of a sub-topology on one partition number."""
        for store in plan.stores:
            if store.sub_topology == sub.id:
                yield self._replica(plan, store, partition)

    def _replica(self, plan: Plan, store: PlannedStore, partition: int) -> Replica:
        action = plan.graph.by_name[store.stage].keyed
        assert action is not None
        changelog = TopicPartition(store.changelog, partition)
        return Replica(
            changelog=changelog,
            region=self._region(changelog),
            store=f"{plan.name}/{store.stage}",
            ttl_kind=action.ttl_kind,
        )

    def _replica_of(self, changelog: TopicPartition) -> Replica:
        for plan in self._plans.values():
            for store in plan.stores:
                if store.changelog == changelog.topic:
                    return self._replica(plan, store, changelog.partition)
        raise AssertionError(f"no stage has the changelog {changelog}")

    def _active(self) -> set[TopicPartition]:
        """The changelogs of this member's own tasks."""
        return {
            TopicPartition(store.changelog, task.partition)
            for task in self._tasks.values()
            for store in self._stores(task)
        }

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Forget the tasks of partitions that are gone; what they have in the store stays there, up to its checkpoint."""
        self._assigned.difference_update(partitions)
        for partition in partitions:
            self._read_at_ms.pop(partition, None)
            for task in self._by_input.pop(partition, []):
                self._tasks.pop(_id(task), None)
                self._touched.pop(_id(task), None)
                # Its changelogs' ends are the next owner's from now on: a checkpoint there would skip what is not in this store.
                self._unnoted -= {
                    TopicPartition(store.changelog, task.partition) for store in self._stores(task)
                }
                waiting = self._waiting.pop(_id(task), None)
                if waiting:
                    self._restorer.release(waiting)
                for other in task.inputs:
                    if other != partition and task in self._by_input.get(other, []):
                        self._by_input[other].remove(task)
                self._markers.forget(task)
        self._ahead.difference_update(partitions)
        self._realign()
        self._publish()

    def _realign(self) -> None:
        """Hold inputs in order anew; what is held back stays held back, where its tasks are still there."""
        before = self._alignments
        self._align()
        for partition, alignment in before.items():
            now = self._alignments.get(partition)
            if now is not None:
                now.add(partition, alignment.taken(partition))

    @property
    def is_waiting(self) -> bool:
        """Whether some task waits for its state."""
        return bool(self._waiting)

    def wait(self, timeout_s: float) -> None:
        """Wait for state to arrive, so long at most; not at all where there are other tasks to run."""
        if len(self._waiting) == len(self._tasks) and self._tables.is_ready:
            self._restorer.wait(timeout_s)

    def poll(self) -> None:
        """Start the tasks whose state has arrived.

        Raises:
            StoreCorruptError: the store must be wiped.
            HeadraceError: what made the restoring fail.
        """
        self._tables.poll()
        self._standbys.poll(self._assigned, self._active)
        if not self._waiting:
            return
        for changelog in self._restorer.done():
            for waiting in self._waiting.values():
                waiting.discard(changelog)
        before = self.paused()
        self._start_ready()
        started = before - self.paused()
        if started:
            self._consumer.resume(started)

    def _start_ready(self) -> None:
        if not self._tables.is_ready:
            return
        for task_id, waiting in list(self._waiting.items()):
            task = self._tasks[task_id]
            if not waiting and self._is_whole(task):
                del self._waiting[task_id]
                self._start(task)
        self._realign()
        self._publish()

    def _publish(self) -> None:
        """Tell other threads which tasks run and which wait."""
        self.standing = Standing(
            ready=frozenset(task_id for task_id, task in self._tasks.items() if task.is_ready),
            waiting=frozenset(self._waiting),
        )

    def restores(self) -> list[RestoreProgress]:
        """How far everything is that is being restored or followed. Thread-safe."""
        return self._restorer.progress()

    def paused(self) -> set[TopicPartition]:
        """Assigned partitions that some task is not ready for."""
        return {
            partition
            for task_id in self._waiting
            for partition in self._tasks[task_id].inputs
            if partition in self._assigned
        }

    def _is_whole(self, task: Task) -> bool:
        """Whether all inputs of a task are assigned to this member, which they are with one assignment, or the next."""
        expected = {
            TopicPartition(topic, task.partition)
            for topic, count in self._topics.partitions.items()
            if task.partition < count and self._program.reads(task.flow, task.sub, topic)
        }
        return expected <= task.inputs.keys()

    def _start(self, task: Task) -> None:
        plan = self._plans[task.flow]
        offsets: dict[str, int] = {}
        for store in plan.stores:
            if store.sub_topology == task.sub.id:
                stage = self._stage(plan, task, store)
                before = [name for name in plan.graph.ancestors[store.stage] if name in offsets]
                stage.offset_ms = max(
                    (offsets[name] + delay_of(plan.graph.by_name[name]) for name in before),
                    default=0,
                )
                offsets[store.stage] = stage.offset_ms
                task.add_stage(stage)
        self._program.bind(task)
        task.recall()
        task.is_ready = True
        logger.debug("task %s/%s[%d] is ready", task.flow, task.sub.name, task.partition)

    def _stage(self, plan: Plan, task: Task, store: PlannedStore) -> TaskStage:
        node = plan.graph.by_name[store.stage]
        assert isinstance(node.action, KeyedAction)
        region = region_of(store_number(self._store, store.changelog), task.partition)
        stage: FoldStage | KeyedStage
        if node.action.fold() is not None:
            stage = FoldStage(task, node, store=self._store, region=region, clock=self._clock)
        else:
            topic = plan.link_topics.get(node.name, "")
            stage = KeyedStage(
                task,
                node,
                store=self._store,
                region=region,
                clock=self._clock,
                lookup=lambda key: self._tables.lookup(plan.name, node.name, key),
                send=lambda key, event, at_ms: self._program.send(topic, key, event, at_ms),
            )
        known = stage.state.get(SHAPE)
        if known is None:
            stage.state.put(SHAPE, dict(store.shape))
        elif known != store.shape:
            raise FlowError([refused(plan, store, known)])
        return stage

    # ---- records

    def batches(
        self, messages: Sequence[Message]
    ) -> Iterator[tuple[TopicPartition, list[Message]]]:
        """Records in the order in which they are to be processed; some may be held back for later.

        Each batch must be processed before the next one is asked for.
        """
        for partition, batch in by_partition(messages).items():
            alignment = self._alignments.get(partition)
            if alignment is None:
                yield partition, batch
                continue
            alignment.add(partition, batch)
        for alignment in dict.fromkeys(self._alignments.values()):
            yield from alignment.release(self._consumer.caught_up())
        self._bound_held()

    def _bound_held(self) -> None:
        """Pause inputs that are far ahead of the others."""
        for partition, alignment in self._alignments.items():
            held = alignment.held(partition)
            if held > HELD_MAX and partition not in self._ahead:
                self._ahead.add(partition)
                self._consumer.pause([partition])
            elif held < HELD_MAX // 2 and partition in self._ahead:
                self._ahead.discard(partition)
                if partition not in self.paused():
                    self._consumer.resume([partition])

    def can_release(self) -> bool:
        """Whether records that were held back can be processed now."""
        if not self._alignments:
            return False
        caught_up = self._consumer.caught_up()
        return any(one.can_release(caught_up) for one in self._alignments.values())

    def held_positions(self) -> dict[TopicPartition, int]:
        """Where processing stands of inputs of which records are held back."""
        found = {one: alignment.position(one) for one, alignment in self._alignments.items()}
        return {one: offset for one, offset in found.items() if offset is not None}

    def _align(self) -> None:
        """Find the inputs that share a task, and begin to hold them in order."""
        self._alignments = {}
        for task in self._ready():
            if len(task.inputs) < 2:
                continue
            joined = list(task.inputs)
            for partition in task.inputs:
                known = self._alignments.get(partition)
                joined += known.partitions if known is not None else ()
            tables = {source.topics[0] for source in task.sub.sources if source.via == "table"}
            order = sorted(dict.fromkeys(joined), key=lambda one: (one.topic not in tables, one))
            made = Alignment(order, [o.topic for o in order if self._markers.is_marked(o.topic)])
            self._alignments.update(dict.fromkeys(order, made))

    def run(self, partition: TopicPartition, messages: Sequence[Message]) -> None:
        """Process records of one partition, in each task that reads it."""
        now_ms = self._clock.now_ms()
        for task in self._by_input.get(partition, ()):
            assert task.is_ready, f"{task.flow}/{task.sub.name}[{partition}] is not ready"
            self._read_at_ms[partition] = now_ms
            task.quiet_since_ms = now_ms
            self._touched[_id(task)] = task
            self._program.enter(task)
            task.run(partition, messages)

    def hold_back(
        self, messages: Sequence[Message]
    ) -> tuple[list[Message], dict[TopicPartition, int]]:
        """Records that can be processed, and where to go back to for those of tasks that are not ready."""
        paused = self.paused()
        kept: list[Message] = []
        back: dict[TopicPartition, int] = {}
        for message in messages:
            partition = TopicPartition(message.topic(), message.partition())
            if partition in paused:
                back.setdefault(partition, message.offset())
            else:
                kept.append(message)
        return kept, back

    # ---- time

    def next_due_ms(self) -> int:
        """When something must be done on the wall clock; `NEVER` when nothing."""
        return min((task.wall_due() for task in self._ready()), default=NEVER)

    def has_work(self) -> bool:
        """Whether something is due now."""
        now_ms = self._clock.now_ms()
        self._note_idle(now_ms)
        return any(
            task.wall_due() <= now_ms or task.has_work or self._is_idle_due(task, now_ms)
            for task in self._ready()
        )

    def work(self) -> None:
        """Do what is due on the wall clock, and go on with windows that are being closed."""
        now_ms = self._clock.now_ms()
        budget = WORK_MAX
        for task in self._ready():
            is_due = task.wall_due() <= now_ms or self._is_idle_due(task, now_ms)
            if not is_due and not task.has_work:
                continue
            self._touched[_id(task)] = task
            self._program.enter(task)
            if is_due:
                task.fire_wall(now_ms)
            budget -= task.work(max(budget, 1))

    def _is_idle_due(self, task: Task, now_ms: int) -> bool:
        return task.is_quiet and task.idle_due(now_ms)

    def _note_idle(self, now_ms: int) -> None:
        """Inputs that have had nothing to read for a while hold nobody up."""
        caught_up = self._consumer.caught_up()
        for task in self._ready():
            task.is_quiet = all(partition in caught_up for partition in task.inputs)
            for partition, input_ in task.inputs.items():
                is_source = not self._markers.is_marked(partition.topic)
                if not is_source or input_.is_idle or partition not in caught_up:
                    continue
                if now_ms - self._read_at_ms.get(partition, now_ms) >= self._idle_ms:
                    input_.is_idle = True
                    task.has_gone_idle = True

    def _ready(self) -> Iterable[Task]:
        return [task for task in self._tasks.values() if task.is_ready]

    # ---- the commit

    @property
    def is_touched(self) -> bool:
        """Whether anything may have to be committed."""
        return bool(self._touched)

    def before_commit(self) -> None:
        """Send on what waits for the commit, and how far the tasks have come."""
        for task in list(self._touched.values()):
            self._program.enter(task)
            task.before_commit()
        self._markers.write(self._touched.values())

    def write_changelog(self) -> None:
        self._commit_begun_s = self._clock.monotonic_s()
        for task in self._touched.values():
            remembered = task.remembered()
            for store, stage in zip(self._stores(task), task.stages, strict=True):
                records = stage.records(remembered)
                if records:
                    self._write_records(store.changelog, task.partition, records)

    def _write_records(
        self, topic: str, partition: int, records: list[tuple[bytes, bytes | None]]
    ) -> None:
        produce, later = self._producer.produce, self._program.produce_later
        for key, value in records:
            try:
                produce(topic, value, key, partition)
            except BufferError:
                later(topic, value, key, partition)
        self._unnoted.add(TopicPartition(topic, partition))

    def _write(self, topic: str, partition: int, key: bytes) -> None:
        self._program.produce_later(topic, None, key, partition)

    def _stores(self, task: Task) -> list[PlannedStore]:
        plan = self._plans[task.flow]
        return [store for store in plan.stores if store.sub_topology == task.sub.id]

    def write_stores(self, positions: Mapping[TopicPartition, int]) -> None:  # noqa: ARG002 # changelogs tell
        changes = Changes([], [])
        for task in self._touched.values():
            for stage in task.stages:
                found = stage.changes()
                changes.puts.extend(found.puts)
                changes.deletes.extend(found.deletes)
        if changes.puts or changes.deletes:
            self._store.write(changes.puts, changes.deletes)
        for task in self._touched.values():
            task.committed()
            for stage in task.stages:
                self.late[task.flow, stage.node.name] += stage.counted_late()
        self._touched = {}
        self._markers.committed()
        is_full = (
            sum(stage.waiting for task in self._ready() for stage in task.stages) > WAITING_MAX
        )
        if is_full or self._clock.monotonic_s() >= self._flush_s:
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
        if self._clock.monotonic_s() - self._commit_begun_s > self._proof_s:
            return []  # the next commit will tell
        self._unnoted = set()
        return [checkpoint(self._region(changelog), end) for changelog, end in ends.items()]

    def _region(self, changelog: TopicPartition) -> bytes:
        return region_of(store_number(self._store, changelog.topic), changelog.partition)

    def counted_late(self) -> Counter[tuple[str, str]]:
        """Late records per (flow, stage) of the commits since this was last asked."""
        counts, self.late = self.late, Counter()
        return counts

    def abort(self) -> None:
        """Everything is as it was at the last commit."""
        for task in self._touched.values():
            task.abort()
        self._touched = {}
        self._markers.abort()
        for alignment in self._alignments.values():
            alignment.clear()
        if self._ahead:
            self._consumer.resume(self._ahead - self.paused())
            self._ahead = set()

    def close(self) -> None:
        """Stop restoring and reading tables."""
        self._standbys.close()
        self._restorer.close()
        self._tables.close()


def by_partition(messages: Sequence[Message]) -> dict[TopicPartition, list[Message]]:
    """Messages by their partition, in their order; some 60 ns each, since those of a partition come side by side."""
    found: dict[TopicPartition, list[Message]] = {}
    if not messages:
        return found
    kind = type(messages[0])
    for topic, of_topic in groupby(messages, kind.topic):
        for number, batch in groupby(of_topic, kind.partition):
            partition = TopicPartition(topic, number)
            if partition in found:
                found[partition].extend(batch)
            else:
                found[partition] = list(batch)
    return found


def _id(task: Task) -> TaskId:
    return task.flow, task.sub.id, task.partition


def refused(plan: Plan, store: PlannedStore, known: Mapping[str, Any]) -> Problem:
    """Why a stage cannot use the state that it has, and what to do."""
    flow = plan.graph.flow
    node = plan.graph.by_name[store.stage]
    return Problem(
        flow.place("stages", node.index),
        f"stage '{store.stage}' keeps other state than before: it was {_shape_text(known)}, and is {_shape_text(store.shape)}; give the stage"
        f" another name to begin with empty state, or go back to the earlier document; `headrace plan --against` shows what changed",
    )


def _shape_text(shape: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name}: {value}" for name, value in sorted(shape.get("config", {}).items()))
    return f"{shape.get('action', '?')} ({words})"
