"""A member of a consumer group: one consumer, one producer, one thread, and the transaction they share."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Broker, Message, Reaction, TopicPartition
from headrace.runtime.contracts.call import Caller
from headrace.runtime.contracts.store import Store
from headrace.runtime.environment import Values
from headrace.runtime.errors import (
    BrokerUnavailableError,
    DataLossError,
    FencedError,
    HeadraceError,
    RestartError,
    RetriableError,
    StoreCorruptError,
    TransactionError,
)
from headrace.runtime.plan import Plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.state.progress import RestoreProgress
from headrace.runtime.task.calling import CallStatistics
from headrace.runtime.task.commit import Step
from headrace.runtime.task.formats import Formats
from headrace.runtime.task.stage import NEVER
from headrace.runtime.worker.batch_size import BatchSize
from headrace.runtime.worker.behind import Behind
from headrace.runtime.worker.expiry import ExpiryWatch
from headrace.runtime.worker.member_store import MemberStore
from headrace.runtime.worker.session import Session
from headrace.runtime.worker.standing import Standing
from headrace.runtime.worker.start import StartPositions
from headrace.runtime.worker.statistics import MemberStatistics
from headrace.runtime.worker.tasks import Tasks
from headrace.runtime.worker.topics import TopicsInUse

logger = logging.getLogger(__name__)

FAILURES_MAX = 10
"""Transactions in a row that may fail before the process gives up."""
PAUSE_S_MAX = 5.0
ABORT_TIMEOUT_S = 10.0
RESTORING_WAIT_S = 0.02


def nothing_watched(step: Step) -> None:
    """Called at each step of a commit where nobody watches."""


class Member:
    """Runs the flows of one group.

    All methods but `stop` and those for other threads belong to one thread. `reached` is called before each step of a
    commit, `visited` by generated code when stages and routes are covered, `callers` makes what calls the outside; all are
    for tests.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        settings: WorkerSettings,
        broker: Broker,
        clock: Clock,
        values: Values,
        name: str,
        topics: TopicsInUse,
        folder: Path | None = None,
        address: str | None = None,
        reached: Callable[[Step], None] = nothing_watched,
        callers: Callable[[str, str], Caller] | None = None,
        visited: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.group = plans[0].group
        self.name = name
        self.partitions = topics.partitions
        self.statistics = MemberStatistics()
        self.behind = Behind()
        self.is_ready = Event()
        self._plans = plans
        self._settings = settings
        self._broker = broker
        self._clock = clock
        self._admin = broker.admin()
        self._interval_s = settings.commit_interval.total_seconds()
        self._stopped = Event()
        self._failures = 0
        self._dirty_since_s: float | None = None
        self._committed: dict[TopicPartition, int] = {}
        self._starts = StartPositions(plans, self._admin, clock)
        self._batch = BatchSize(clock)
        self._expiry = ExpiryWatch(plans, topics, clock)
        self._store = MemberStore(settings, folder)
        self._formats = Formats(dict(settings), clock)
        self._new_session = partial(
            Session,
            plans,
            settings=settings,
            broker=broker,
            admin=self._admin,
            clock=clock,
            values=values,
            name=name,
            address=address,
            topics=topics,
            store=self._store,
            formats=self._formats,
            listener=self,
            reached=reached,
            callers=callers,
            visited=visited,
        )
        try:
            self._session = self._new_session()
        except BaseException:
            self._formats.close()
            raise

    # ---- for other threads

    @property
    def plans(self) -> Sequence[Plan]:
        return self._plans

    @property
    def standing(self) -> Standing:
        """Which tasks run, and which wait for their state."""
        tasks = self._session.tasks
        return tasks.standing if tasks is not None else Standing()

    @property
    def store(self) -> Store | None:
        """What was committed, while the store is open; see `Tasks.flush_entries`."""
        return self._store.opened

    @property
    def calls(self) -> Mapping[tuple[str, str], CallStatistics]:
        """What stages have called the outside for, per (flow, stage)."""
        tasks = self._session.tasks
        return tasks.calls.statistics if tasks is not None else {}

    def restores(self) -> list[RestoreProgress]:
        """How far everything is that is being restored or followed."""
        tasks = self._session.tasks
        return tasks.restores() if tasks is not None else []

    # ---- the loop

    def run(self) -> None:
        """Process records until `stop` is called, then commit and leave the group.

        Raises:
            HeadraceError: the process cannot go on; nothing uncommitted was committed.
        """
        try:
            while not self._stopped.is_set():
                self.step(0.5)
            self.close()
        except BaseException:
            self.abandon()
            raise

    def stop(self) -> None:
        """Ask `run` to end; returns at once. Thread-safe."""
        self._stopped.set()

    def step(self, timeout_s: float) -> int:
        """Read, process, and commit when it is time; returns how many records were read.

        Raises:
            HeadraceError: the process cannot go on.
        """
        try:
            return self._step(timeout_s)
        except FencedError as error:
            self._count_failure(error)
            self._rejoin(error)
        except (TransactionError, RetriableError) as error:
            self._count_failure(error)
            self._rewind(error)
        except DataLossError as error:
            self._skip_lost(error)
        except StoreCorruptError as error:
            self._count_failure(error)
            self._wipe(error)
        except BrokerUnavailableError as error:
            self._begin_again(error)
        except HeadraceError:
            raise
        except Exception as error:
            self._client_failed(error)
        return 0

    def _client_failed(self, error: Exception) -> None:
        """React to what the client itself raised, out of a poll; anything else is a mistake and goes on its way."""
        reaction = self._broker.reaction(error)
        if reaction is None or reaction is Reaction.RECORD:
            raise error
        if reaction is Reaction.RESTART:
            raise RestartError(f"group '{self.group}': the client cannot go on: {error}") from error
        failure = FencedError(f"the client cannot go on: {error}")
        self._count_failure(failure)
        self._rejoin(failure)

    def _step(self, timeout_s: float) -> int:
        session = self._session
        now_s = self._clock.monotonic_s()
        if self._dirty_since_s is not None:
            timeout_s = max(0.0, min(timeout_s, self._dirty_since_s + self._interval_s - now_s))
        if session.tasks is not None:
            timeout_s = self._before_reading(session.tasks, timeout_s)
        messages = session.consumer.consume(self._batch.records, timeout_s)
        self.behind.look(session.consumer, self._committed, now_s)
        if messages and session.tasks is not None and session.tasks.is_waiting:
            messages = self._held_back(session.tasks, messages)
        is_held = session.tasks is not None and session.tasks.can_release()
        if messages or is_held:
            if messages:
                self._expiry.check(messages)
            session.begin()
            if self._dirty_since_s is None:
                self._dirty_since_s = self._clock.monotonic_s()
            with self._batch.timed(len(messages)):
                session.process(messages)
            session.producer.poll(0)
            self.statistics.records_read += len(messages)
            self.statistics.last_record_s = self._clock.monotonic_s()
        replayed = self._replay()
        if session.tasks is not None and session.tasks.has_work():
            self._work(session.tasks)
        if (
            self._dirty_since_s is not None
            and self._clock.monotonic_s() - self._dirty_since_s >= self._interval_s
        ):
            self.commit()
        if self._dirty_since_s is None and session.tasks is not None:
            session.tasks.commit.flush_entries()
        return len(messages) + replayed

    def _replay(self) -> int:
        """Process what somebody has sent back to a stage; returns how many events."""
        session = self._session
        found = session.replays.read(self.statistics.assignment)
        if found:
            session.begin()
            if self._dirty_since_s is None:
                self._dirty_since_s = self._clock.monotonic_s()
            session.replays.run(found)
            self.statistics.records_read += len(found)
            self.statistics.last_record_s = self._clock.monotonic_s()
        return len(found)

    def _before_reading(self, tasks: Tasks, timeout_s: float) -> float:
        """Start tasks whose state has arrived; how long reading may wait for records."""
        if tasks.is_waiting:
            tasks.wait(RESTORING_WAIT_S)
        tasks.poll()
        if tasks.is_waiting:
            return 0.0
        due_ms = tasks.next_due_ms()
        if due_ms == NEVER:
            return timeout_s
        return max(0.0, min(timeout_s, (due_ms - self._clock.now_ms()) / 1000))

    def _held_back(self, tasks: Tasks, messages: list[Message]) -> list[Message]:
        """Records whose tasks are ready; the others are read again later."""
        kept, back = tasks.hold_back(messages)
        if back:
            self._session.consumer.pause(back)
            self._session.consumer.seek(back)
        return kept

    def _work(self, tasks: Tasks) -> None:
        """Do what is due without a record."""
        self._session.begin()
        if self._dirty_since_s is None:
            self._dirty_since_s = self._clock.monotonic_s()
        tasks.work()
        tasks.drain()
        self._session.producer.poll(0)

    @property
    def is_resting(self) -> bool:
        """Whether nothing waits for a commit, nor for its state."""
        tasks = self._session.tasks
        return self._dirty_since_s is None and (tasks is None or not tasks.is_waiting)

    def commit(self) -> None:
        """Commit everything that was processed; does nothing when nothing was."""
        if self._dirty_since_s is not None:
            self._commit()

    def _commit(self, *, is_proof: bool = False) -> None:
        """With `is_proof` positions are sent in any case: that they are accepted shows whose the tasks are."""
        tasks = self._session.tasks
        is_touched = tasks is not None and tasks.commit.is_touched
        if tasks is not None and is_touched:
            self._session.begin()
            tasks.commit.before_commit()
        positions = {
            partition: offset
            for partition, offset in self._session.positions(self._committed).items()
            if self._committed.get(partition) != offset or partition in self._starts.uncommitted
        }
        if (is_touched or is_proof) and not positions:
            # Sent all the same: they are what tells the group's coordinator that this member is alive and owns its tasks.
            positions = dict(self._committed)
        replayed = self._session.replays.uncommitted
        if positions or is_touched or replayed:
            self._session.begin()
            self._session.commit.run({**positions, **replayed})
            self._session.replays.committed()
            self._committed.update(positions)
            self._starts.uncommitted.difference_update(positions)
            self._session.ended()
        self._dirty_since_s = None
        self._failures = 0
        self.statistics.commits += 1
        self.statistics.last_commit_s = self._clock.monotonic_s()
        self._publish_statistics()

    def _publish_statistics(self) -> None:
        # New mappings, because other threads may be looking at the old ones.
        written, failed = self._session.program.counted()
        self.statistics.written = written + Counter(self.statistics.written)
        self.statistics.failed = failed + Counter(self.statistics.failed)
        if self._session.tasks is not None:
            late = self._session.tasks.commit.counted_late()
            self.statistics.late = late + Counter(self.statistics.late)

    # ---- rebalance: called by the consumer, from inside of `consume` and `close`

    def assigned(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """New partitions begin where the group left them, or where their trigger says."""
        try:
            begin = self._starts.find(self._session.consumer, partitions)
            self._committed.update(begin)
            if self._session.tasks is not None:
                self._session.tasks.assigned(partitions)
        except (TransactionError, RetriableError) as error:
            # The group holds them for given, and nobody would read them: a rewind is not enough.
            raise FencedError(
                f"{len(partitions)} partitions could not be taken over: {error}"
            ) from error
        if self._starts.uncommitted and self._dirty_since_s is None:
            self._dirty_since_s = self._clock.monotonic_s()
        self._note_assignment(self.statistics.assignment.union(partitions))
        self.is_ready.set()
        return begin

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Commit what was done for the partitions before they go to another member."""
        try:
            if not self._session.is_abandoned:
                self._commit_before_leaving()
        finally:
            # Even when that failed: a later commit must not set back what their next owner committed.
            self._forget(partitions)

    def _commit_before_leaving(self) -> None:
        """Commit, and note how far the store has come.

        A worker that was frozen may find its tasks revoked that are another one's long since; the checkpoints are noted behind
        a commit of this moment, or not at all.
        Guarded by test_a_worker_that_was_frozen_does_not_take_the_state_of_others_for_its_own.
        """
        tasks = self._session.tasks
        if self._dirty_since_s is not None or (tasks is not None and tasks.commit.has_unnoted):
            self._commit(is_proof=tasks is not None)
        if tasks is not None:
            tasks.commit.flush()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Another member has the partitions already: what was done for them since the last commit is void."""
        self._forget(partitions)
        if self._session.is_begun:
            raise TransactionError(
                f"the group took {len(partitions)} partitions away before their positions were committed"
            )

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        if self._session.tasks is not None:
            self._session.tasks.revoked(partitions)
        for partition in partitions:
            self._committed.pop(partition, None)
            self._starts.uncommitted.discard(partition)
        self._note_assignment(self.statistics.assignment.difference(partitions))
        self._session.replays.forget(self.statistics.assignment)

    def _note_assignment(self, partitions: frozenset[TopicPartition]) -> None:
        self.statistics.assignment = partitions
        logger.debug("group %s: %d partitions assigned", self.group, len(partitions))

    # ---- failures

    def _count_failure(self, error: HeadraceError) -> None:
        self._failures += 1
        self.statistics.aborts += 1
        if self._failures > FAILURES_MAX:
            raise RestartError(
                f"group '{self.group}': {FAILURES_MAX} transactions in a row failed, the last one because {error}"
            ) from error
        pause_s = min(0.1 * 2 ** (self._failures - 1), PAUSE_S_MAX)
        logger.warning(
            "group %s: transaction aborted, again in %.1f s: %s", self.group, pause_s, error
        )
        self._clock.sleep(pause_s)

    def _rewind(self, error: HeadraceError) -> None:
        """Abort, and read again from the last commit on."""
        try:
            self._session.abort(ABORT_TIMEOUT_S)
        except (FencedError, TransactionError, RestartError) as worse:
            self._rejoin(worse)
            return
        self._session.program.counted()  # what was counted since the last commit did not happen
        assigned = self._session.consumer.assignment()
        self._session.consumer.seek({p: o for p, o in self._committed.items() if p in assigned})
        self._dirty_since_s = None
        if self._starts.uncommitted:
            self._dirty_since_s = self._clock.monotonic_s()
        logger.info("group %s: rewound %d partitions after: %s", self.group, len(assigned), error)

    def _rejoin(self, error: HeadraceError) -> None:
        """Drop the consumer and the producer, and join the group with new ones."""
        logger.warning("group %s: joining anew: %s", self.group, error)
        # First of all: closing the consumer revokes, and that would commit positions whose outputs were aborted.
        self._dirty_since_s = None
        self._session.abandon()
        self._committed.clear()
        self._starts.uncommitted.clear()
        self._note_assignment(frozenset())
        self.is_ready.clear()
        self.statistics.rejoins += 1
        self._session = self._new_session()

    def _begin_again(self, error: BrokerUnavailableError) -> None:
        """Join anew, from what a new producer finds committed: whether the last commit came through is unknown.

        A new session waits for brokers as well (`session.BEGIN_TIMEOUT_S`); that none answers then either ends the member.
        """
        if self._stopped.is_set():
            raise error
        self._count_failure(error)
        self._rejoin(error)

    def _wipe(self, error: StoreCorruptError) -> None:
        """The store is damaged: begin with an empty one, restored from the changelogs."""
        logger.error(
            "group %s: %s; it is wiped and restored from the changelogs", self.group, error
        )
        self._dirty_since_s = None
        self._session.abandon()
        self._store.wipe()
        self._rejoin(error)

    def _skip_lost(self, error: DataLossError) -> None:
        """Go on behind records that retention deleted, where their trigger allows it."""
        consumer = self._session.consumer
        lost = self._starts.lost_records(consumer, self._committed)
        if not lost or not self._starts.may_skip(lost):
            raise error
        logger.error(
            "group %s: %s; going on with what is left (on_data_loss: continue)", self.group, error
        )
        self._committed.update(lost)
        self._starts.uncommitted.update(lost)
        self._rewind(error)

    # ---- the end

    def close(self) -> None:
        """Commit and leave the group. May be called again."""
        try:
            self.commit()
        except (TransactionError, FencedError) as error:
            logger.warning("group %s: the last transaction was aborted: %s", self.group, error)
            self._dirty_since_s = None
            self.abandon()
            return
        self._session.close()
        self._formats.close()
        self._store.close()
        self._admin.close()

    def abandon(self) -> None:
        """Leave without committing: the open transaction is aborted, its records will be read again. Never raises."""
        self._dirty_since_s = None
        self._session.abandon()
        self._formats.close()
        self._store.close()
        self._admin.close()
