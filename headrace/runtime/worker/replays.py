"""Events that were dead letters and are sent back to the stage they failed at."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import (
    Admin,
    Message,
    Reader,
    TopicDescription,
    TopicPartition,
)
from headrace.runtime.errors import BrokerUnavailableError, HeadraceError, RestartError
from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.task.program import Program
from headrace.runtime.task.records import REPLAY, header
from headrace.runtime.task.task import Task
from headrace.runtime.worker.tasks import Tasks

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
SUFFIX = ".replay"
RECORDS_MAX = 500
"""Events that are processed between two reads of the flow's own topics."""
READ_S = 1.0

Place = tuple[Plan, SubTopology]


class Replays:
    """Reads replay topics beside the group's consumer. Their positions are part of its commits. Belongs to the member's thread.

    No flow has such a topic until somebody sends a letter back, so the group does not subscribe to them. Who has a task reads
    its partition of the topic; in a flow without state it is who has that partition of the first topic that the
    sub-topology reads. So the group's rules about who has what, and the fencing of those who had it, hold here, too.
    """

    def __init__(
        self,
        plans: Iterable[Plan],
        *,
        program: Program,
        tasks: Tasks | None,
        admin: Admin,
        clock: Clock,
        committed: Callable[[Iterable[TopicPartition]], Mapping[TopicPartition, int]],
        new_reader: Callable[[], Reader],
    ) -> None:
        self._places: dict[str, Place] = {
            plan.replay_topic(sub): (plan, sub) for plan in plans for sub in plan.sub_topologies
        }
        self._program = program
        self._tasks = tasks
        self._admin = admin
        self._clock = clock
        self._find_committed = committed
        self._new_reader = new_reader
        self._reader: Reader | None = None
        self._next_s = clock.monotonic_s()
        self._looked_with: object = None
        self._is_refused = False
        self._is_first = True
        self._begin: dict[TopicPartition, int] = {}
        """Where each partition stands by the last commit."""
        self.uncommitted: dict[TopicPartition, int] = {}
        """Where those stand that were read since."""

    def read(self, assigned: Collection[TopicPartition]) -> list[Message]:
        """What is to be processed next; looks every few seconds, and at once for new tasks and where there was more."""
        now_s = self._clock.monotonic_s()
        having = (assigned, self._tasks.standing if self._tasks is not None else None)
        if now_s < self._next_s and having == self._looked_with:
            return []
        self._looked_with = having
        self._next_s = now_s + LOOK_EVERY_S
        try:
            if self._is_first and self._places:
                self._is_first = False
                self._tell_of_unread()
            behind, ends = self._behind(self._owned(assigned))
            return self._read(behind, ends) if behind else []
        except BrokerUnavailableError as error:
            logger.debug("replay topics were not read, again in %.0f s: %s", LOOK_EVERY_S, error)
            return []

    def _tell_of_unread(self) -> None:
        """Warn of events that were sent back to a part of a flow that is not there under its name any more."""
        begins = tuple({topic.rsplit(".", 2)[0] + "." for topic in self._places})
        others = {
            TopicPartition(name, number)
            for name, count in self._admin.topics().items()
            if name.startswith(begins) and name.endswith(SUFFIX) and name not in self._places
            for number in range(count)
        }
        if not others:
            return
        first = self._admin.offsets(others, "earliest")
        ends = self._admin.offsets(others, "latest")
        for topic in sorted({one.topic for one in others if first[one] < ends[one]}):
            logger.warning(
                "dead letters were sent back through '%s', which nobody reads any more: what it is named after has"
                " another name now; give that `renamed_from`, and they go on",
                topic,
            )

    def _owned(self, assigned: Collection[TopicPartition]) -> list[TopicPartition]:
        tasks = {task.id for task in self._tasks.ready()} if self._tasks is not None else set()
        found = []
        for topic, (plan, sub) in self._places.items():
            if plan.is_stateful and not sub.tells_by_input:
                numbers = [n for flow, id_, n in tasks if (flow, id_) == (plan.name, sub.id)]
            else:
                home = plan.home_topic(sub)
                numbers = [one.partition for one in assigned if one.topic == home]
                if plan.is_stateful:
                    numbers = [n for n in numbers if (plan.name, sub.id, n) in tasks]
            found += [TopicPartition(topic, number) for number in numbers]
        return found

    def _behind(
        self, owned: Collection[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The partitions with something to read, from where on, and their ends."""
        described = self._described({one.topic for one in owned})
        there = [
            one
            for one in owned
            if one.topic in described and one.partition < described[one.topic].partitions
        ]
        new = [one for one in there if one not in self._begin]
        if new:
            known, first = self._find_committed(new), self._admin.offsets(new, "earliest")
            self._begin |= {one: known.get(one, first[one]) for one in new}
            self._delete({one: at for one, at in known.items() if first[one] < at})
        # Not where an open transaction ends: nothing of it can be read, and the flow's own topics would wait for it, too.
        ends = self._admin.offsets(there, "latest") if there else {}
        at = {one: self.uncommitted.get(one, self._begin[one]) for one in there}
        return {one: offset for one, offset in at.items() if offset < ends[one]}, ends

    def _described(self, topics: Collection[str]) -> Mapping[str, TopicDescription]:
        """Those that exist. Where the brokers do not let anybody ask for a topic that there is none of, there is none."""
        try:
            return self._admin.describe(topics) if topics else {}
        except RestartError as error:
            if not self._is_refused:
                logger.warning("dead letters that are sent back to a stage stay unread: %s", error)
            self._is_refused = True
            return {}

    def _delete(self, done: Mapping[TopicPartition, int]) -> None:
        """Delete what a purge has left: should the brokers forget the positions one day, nothing of it may be there."""
        try:
            if done:
                self._admin.delete_records(done)
        except HeadraceError as error:
            logger.warning("events that were sent back and are done were not deleted: %s", error)

    def _read(
        self, behind: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> list[Message]:
        if self._reader is None:
            self._reader = self._new_reader()
        self._reader.assign(behind)
        found: list[Message] = []
        until_s = self._clock.monotonic_s() + READ_S
        while len(found) < RECORDS_MAX and self._clock.monotonic_s() < until_s:
            found += self._reader.read(RECORDS_MAX - len(found), 0.1)
            positions = self._reader.positions()
            if all(positions[one] >= ends[one] for one in behind):
                break
        else:
            self._next_s = self._clock.monotonic_s()
        self.uncommitted |= {
            one: at for one, at in self._reader.positions().items() if at > behind[one]
        }
        return found

    def run(self, messages: Sequence[Message]) -> None:
        """Process events, each at its stage."""
        tasks = {task.id: task for task in self._tasks.ready()} if self._tasks is not None else {}
        for message in messages:
            plan, sub = self._places[message.topic()]
            stage = (header(message, REPLAY) or b"").decode()
            if stage not in sub.stages:
                self._program.failures.sent_back(message, plan, stage)
                continue
            task = tasks[plan.name, sub.id, message.partition()] if plan.is_stateful else None
            run = self._program.replaying(plan, stage, task)
            if task is None:
                run([message])
            else:
                self._run_in(task, run, message)
        if self._tasks is not None:
            self._tasks.drain()

    def _run_in(self, task: Task, run: Callable[..., None], message: Message) -> None:
        assert self._tasks is not None
        self._tasks.commit.touch(task)
        self._program.enter(task)
        task.replay(run, message)

    def committed(self) -> None:
        """What was read is part of a commit."""
        self._begin |= self.uncommitted
        self.uncommitted = {}

    def abort(self) -> None:
        """What was read since the last commit is read again."""
        self.uncommitted = {}
        self._next_s = self._clock.monotonic_s()

    def forget(self, assigned: Collection[TopicPartition]) -> None:
        """Forget partitions that are another member's now."""
        owned = set(self._owned(assigned))
        self._begin = {one: at for one, at in self._begin.items() if one in owned}
        self.uncommitted = {one: at for one, at in self.uncommitted.items() if one in owned}

    def close(self) -> None:
        """Let go of the reader. May be called again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
