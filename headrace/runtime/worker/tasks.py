"""The tasks of a member: which there are, what they process, and their part in the commit."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import (
    Admin,
    Consumer,
    Message,
    Producer,
    TopicPartition,
)
from headrace.runtime.contracts.store import Store
from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.state.layout import (
    checkpoint_of,
)
from headrace.runtime.state.restore import Replica, RestoreProgress, Restorer
from headrace.runtime.task.program import Program
from headrace.runtime.task.stage import NEVER
from headrace.runtime.task.task import Task
from headrace.runtime.worker.alignment import HELD_MAX, Alignment
from headrace.runtime.worker.by_partition import by_partition
from headrace.runtime.worker.global_tables import GlobalTables
from headrace.runtime.worker.markers import Markers
from headrace.runtime.worker.migrations import Migrations
from headrace.runtime.worker.placing import TablePlacing
from headrace.runtime.worker.standbys import Standbys
from headrace.runtime.worker.standing import Standing, TaskId
from headrace.runtime.worker.task_calls import TaskCalls
from headrace.runtime.worker.task_commit import TaskCommit
from headrace.runtime.worker.task_states import TaskStates
from headrace.runtime.worker.topics import TopicsInUse

WORK_MAX = 20_000
"""Results of closed windows that are sent on between two batches."""


class Tasks:
    """Makes tasks when partitions come, and forgets them when they go. Belongs to the member's thread."""

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
        calls: TaskCalls,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans if plan.is_stateful}
        self._program = program
        self._consumer = consumer
        self._store = store
        self._restorer = restorer
        self._admin = admin
        self._clock = clock
        self._topics = topics
        self._idle_ms = idle_ms
        self._tables = tables
        self.calls = calls
        self._states = TaskStates(
            self._plans, store=store, program=program, clock=clock, tables=tables, calls=calls
        )
        self._markers = Markers(self._plans.values(), topics.partitions, self._write_marker)
        self._migrations = Migrations(store)
        self._placing = TablePlacing(self._plans.values(), topics.partitions)
        self.commit = TaskCommit(
            self._states,
            program=program,
            producer=producer,
            store=store,
            admin=admin,
            clock=clock,
            markers=self._markers,
            migrations=self._migrations,
            ready=self.ready,
            proof_s=proof_s,
            calls=calls,
        )
        self._standbys = Standbys(
            list(self._plans.values()),
            me=me,
            copies=copies,
            admin=admin,
            clock=clock,
            replica=self._states.replica_of,
            follow=restorer.follow,
        )
        self._tasks: dict[TaskId, Task] = {}
        self._alignments: dict[TopicPartition, Alignment] = {}
        self._ahead: set[TopicPartition] = set()
        self._by_input: dict[TopicPartition, list[Task]] = {}
        self._waiting: dict[TaskId, set[TopicPartition]] = {}
        self._assigned: set[TopicPartition] = set()
        self._held: dict[TopicPartition, int] = {}  # where to go on, of partitions that wait again
        self._read_at_ms: dict[TopicPartition, int] = {}
        self.standing = Standing()

    # ---- partitions

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Make the tasks of new partitions; those whose state must be restored first get no records until then."""
        before = self.paused()
        self._assigned.update(partitions)
        self._read_at_ms.update(dict.fromkeys(partitions, self._clock.now_ms()))
        self._join(partitions)
        self._start_ready()
        paused = self.paused()
        if paused:
            self._consumer.pause(paused)
        self._resume(before - paused)  # they waited for these partitions only

    def _join(self, partitions: Iterable[TopicPartition]) -> None:
        """Make these partitions inputs of the tasks that read them, where they are not yet."""
        made: list[Task] = []
        for partition in partitions:
            for plan, sub in self._subs(partition):
                task = self._task(plan, sub, partition.partition, made)
                if partition in task.inputs:
                    continue
                task.quiet_since_ms = self._clock.now_ms()
                upstreams = plan.upstreams.get(partition.topic)
                names = None if upstreams is None else [up.marker_name for up in upstreams]
                task.add_input(partition, names)
                self._by_input.setdefault(partition, []).append(task)
                if task.is_ready:  # of a topic that a pattern has found meanwhile
                    self._program.bind_input(task, partition)
        self._restore(made)

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
            replica.changelog: (task, replica)
            for task in tasks
            for replica in self._states.replicas(task)
        }
        if not replicas:
            for task in tasks:
                self._waiting[task.id] = set()
            return
        ends = self._admin.ends(replicas)
        to_restore: list[Replica] = []
        for task in tasks:
            self._waiting[task.id] = set()
        for changelog, (task, replica) in replicas.items():
            end = ends.get(changelog, 0)
            known = checkpoint_of(self._store, replica.region)
            if end == (known or 0):
                self._restorer.release([changelog])
                continue
            self._waiting[task.id].add(changelog)
            to_restore.append(replica)
        self._restorer.restore(to_restore)

    def _active(self) -> set[TopicPartition]:
        """The changelogs of this member's own tasks."""
        return {one for task in self._tasks.values() for one in self._states.changelogs(task)}

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Forget the tasks of partitions that are gone; what they have in the store stays there, up to its checkpoint."""
        self._assigned.difference_update(partitions)
        held = self.held_positions()
        left: dict[TopicPartition, None] = {}
        for partition in partitions:
            self._read_at_ms.pop(partition, None)
            for task in self._by_input.pop(partition, []):
                self._tasks.pop(task.id, None)
                self.commit.forget(task)
                waiting = self._waiting.pop(task.id, None)
                if waiting:
                    self._restorer.release(waiting)
                for other in task.inputs:
                    if other != partition and task in self._by_input.get(other, []):
                        self._by_input[other].remove(task)
                    if other in self._assigned:
                        left[other] = None
            self._held.pop(partition, None)
        self._ahead.difference_update(partitions)
        self._wait_for_the_rest(left, held)
        self._realign()
        self._publish()

    def _wait_for_the_rest(
        self, left: Collection[TopicPartition], held: Mapping[TopicPartition, int]
    ) -> None:
        """Read nothing of partitions whose tasks have lost another input, until that comes back or they go, too.

        Guarded by test_what_a_task_reads_is_not_lost_while_one_of_its_inputs_is_away.
        """
        if not left:
            return
        self._join(left)
        self._consumer.pause(left)
        back = {one: offset for one, offset in held.items() if one in left}
        self._held |= back
        self._consumer.seek(back)
        for one in left:
            if one in self._alignments:
                self._alignments[one].taken(one)
        self._ahead.difference_update(left)

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
        self._resume(before - self.paused())

    def _resume(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._held.pop(partition, None)
        if partitions:
            self._consumer.resume(partitions)

    def _start_ready(self) -> None:
        if not self._tables.is_ready:
            return
        for task_id, waiting in list(self._waiting.items()):
            task = self._tasks[task_id]
            if not waiting and self._is_whole(task) and not self._is_migrating(task):
                del self._waiting[task_id]
                self._states.start(task)
                task.has_news = self._markers.is_told(task)
        self._realign()
        self._publish()

    def _is_migrating(self, task: Task) -> bool:
        """Whether the state of a task must be turned into that of a changed document first."""
        changelogs = self._states.changelogs(task)
        regions = [self._states.region(one) for one in changelogs]
        stores = list(zip(self._states.stores(task), changelogs, regions, strict=True))
        return self._migrations.begin(task.id, self._plans[task.flow], stores)

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
        """Whether all inputs of a task are assigned to this member, which they are with one assignment, or the next.

        Without state it does not matter who has the others.
        """
        if task.sub.tells_by_input:
            return True
        expected = {
            TopicPartition(topic, task.partition)
            for topic, count in self._topics.partitions.items()
            if task.partition < count and self._program.reads(task.flow, task.sub, topic)
        }
        return expected <= task.inputs.keys()

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
                if partition not in self.paused() and partition not in self.calls.paused:
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
        for task in self.ready():
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
        self._placing.look(partition, messages)
        is_marked = self._markers.is_marked(partition.topic)
        for task in self._by_input.get(partition, ()):
            assert task.is_ready, f"{task.flow}/{task.sub.name}[{partition}] is not ready"
            self._read_at_ms[partition] = now_ms
            if not is_marked or any(message.value() is not None for message in messages):
                task.quiet_since_ms = now_ms
            self.commit.touch(task)
            self._program.enter(task)
            task.run(partition, messages)

    def drain(self) -> None:
        """Make the calls that records wait for; pause the inputs of tasks in which too many wait to be tried again."""
        for task in self.calls.drain(self.ready()):
            self.commit.touch(task)
        pause, resume = self.calls.full(self.ready())
        if pause:
            self._consumer.pause(pause)
        if resume:
            self._consumer.resume((resume & self._assigned) - self.paused() - self._ahead)

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
                # What the client had read already must not make it go on behind what was held back.
                back.setdefault(partition, self._held.get(partition, message.offset()))
            else:
                kept.append(message)
        return kept, back

    # ---- time

    def next_due_ms(self) -> int:
        """When something must be done on the wall clock; `NEVER` when nothing."""
        return min((task.wall_due() for task in self.ready()), default=NEVER)

    def has_work(self) -> bool:
        """Whether something is due now."""
        now_ms = self._clock.now_ms()
        self._note_idle(now_ms)
        return self._migrations.is_active or any(
            task.wall_due() <= now_ms or task.has_work or self._is_idle_due(task, now_ms)
            for task in self.ready()
        )

    def work(self) -> None:
        """Do what is due on the wall clock, and go on with windows that are being closed."""
        self._migrations.work()
        now_ms = self._clock.now_ms()
        budget = WORK_MAX
        for task in self.ready():
            is_due = task.wall_due() <= now_ms or self._is_idle_due(task, now_ms)
            if not is_due and not task.has_work:
                continue
            self.commit.touch(task)
            self._program.enter(task)
            if is_due:
                task.fire_wall(now_ms)
            budget -= task.work(max(budget, 1))

    def _is_idle_due(self, task: Task, now_ms: int) -> bool:
        return task.is_quiet and task.idle_due(now_ms)

    def _note_idle(self, now_ms: int) -> None:
        """Inputs that have had nothing to read for a while hold nobody up.

        A topic of headrace's own is quiet only once all that write to it say so: they may be at work on its next records.
        """
        caught_up = self._consumer.caught_up()
        for task in self.ready():
            task.is_quiet = all(
                partition in caught_up
                and (input_.is_idle or not self._markers.is_marked(partition.topic))
                for partition, input_ in task.inputs.items()
            )
            for partition, input_ in task.inputs.items():
                is_source = not self._markers.is_marked(partition.topic)
                if not is_source or input_.is_idle or partition not in caught_up:
                    continue
                if now_ms - self._read_at_ms.get(partition, now_ms) >= self._idle_ms:
                    input_.is_idle = True
                    task.has_news = True

    def ready(self) -> Iterable[Task]:
        """The tasks that run."""
        return [task for task in self._tasks.values() if task.is_ready]

    def _write_marker(self, topic: str, partition: int, key: bytes) -> None:
        self._program.produce_later(topic, None, key, partition)

    def abort(self) -> None:
        """Everything is as it was at the last commit; what is held back is read again."""
        self.commit.abort()
        for alignment in self._alignments.values():
            alignment.clear()
        if self._ahead:
            self._consumer.resume(self._ahead - self.paused() - self.calls.paused)
            self._ahead = set()

    def close(self) -> None:
        """Stop restoring and reading tables."""
        self._standbys.close()
        self._restorer.close()
        self._tables.close()
        self.calls.close()
