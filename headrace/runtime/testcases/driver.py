"""Runs flows step by step on the caller's thread: the engine room of `headrace.testing` and of test cases."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import re2

from headrace.runtime.brokers import connect
from headrace.runtime.clock import Clock, ManualClock
from headrace.runtime.contracts.broker import (
    Admin,
    Broker,
    Message,
    NewTopic,
    Producer,
    ProducerSettings,
)
from headrace.runtime.environment import Values
from headrace.runtime.errors import ClosedError, RestartError, SettingsError
from headrace.runtime.flow import Flow, did_you_mean
from headrace.runtime.graph import check_flows
from headrace.runtime.plan import Plan, build_plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.testcases.answers import NewCaller, answering
from headrace.runtime.testcases.coverage import Coverage, CoveragePlace, coverage_of
from headrace.runtime.testcases.reader import Reader, TopicReader
from headrace.runtime.testcases.records import (
    DeadLetter,
    TestRecord,
    read_dead_letter,
    read_record,
)
from headrace.runtime.testcases.worker_clock import WorkerClock
from headrace.runtime.worker.groups import groups_of
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.topics import ensure_topics

NOW_MS: Final = 1_767_225_600_000
"""Where a test's clock begins unless it is told otherwise: 2026-01-01T00:00:00Z."""
SETTINGS: Final = {"engine": "memory", "create_topics": True, "partitions": 1}
KEPT_FOR_EVER: Final = {"retention.ms": "-1"}
"""Tests send records of any age."""
ROUNDS_MAX: Final = 10_000
"""Reading and committing this often without coming to rest is a record that goes round for ever."""
WORKER: Final = "test"


class CommitFaults(Protocol):
    """What can be made to go wrong with the broker in memory."""

    def fail_next_commit(self) -> None: ...


class MemoryEngine(Broker, Protocol):
    """What a test needs of the broker in memory beyond the contract."""

    clock: ManualClock
    faults: CommitFaults


class GivenValues(Values):
    """Environment and secrets of a test: those that it gives, and nothing of the machine's."""

    def __init__(self, env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        super().__init__(env, secrets)

    def env(self, name: str) -> str:
        try:
            return super().env(name)
        except SettingsError:
            raise SettingsError(f"env.{name} is not given to the test; add it to `env`") from None

    def secret(self, name: str) -> str:
        try:
            return super().secret(name)
        except SettingsError:
            raise SettingsError(
                f"secret.{name} is not given to the test; add it to `secrets`"
            ) from None


def memory_engine(now_ms: int = NOW_MS) -> MemoryEngine:
    """A new broker in memory whose clock stands at `now_ms`."""
    broker = cast("MemoryEngine", connect("memory", "memory", {}))
    seconds, ms = divmod(now_ms, 1000)
    broker.clock.advance(seconds)
    broker.clock.advance(ms / 1000)
    return broker


class Driver:
    """One worker with its topics and a reader beside it. Everything happens inside of the calls, nothing in between.

    Topics that the flows name exist from the beginning, with one partition unless `topics` says otherwise; `close` (or
    leaving the `with` block) ends the worker.

    Raises:
        FlowError: with every problem of every flow.
        SettingsError: a value of `env` or `secret` is missing.
    """

    def __init__(
        self,
        flows: Sequence[Flow],
        *,
        broker: Broker,
        clock: Clock,
        values: Values | None = None,
        topics: Mapping[str, int] | None = None,
        settings: WorkerSettings | None = None,
        callers: NewCaller | None = None,
    ) -> None:
        self.settings = settings or WorkerSettings.model_validate(SETTINGS)
        self.plans: tuple[Plan, ...] = tuple(
            build_plan(graph, self.settings.prefix) for graph in check_flows(flows)
        )
        self.visited: set[CoveragePlace] = set()
        self._groups = groups_of(self.plans)
        self._broker = broker
        self._clock = clock
        self._worker_clock = WorkerClock(clock)
        self._values = values or GivenValues({}, {})
        self._callers = callers or answering({})
        self._members: list[Member] = []
        self._own: set[tuple[str, int, int]] = set()
        self._is_closed = False
        self._admin: Admin = broker.admin()
        self._create(topics or {})
        self._producer: Producer = broker.producer(ProducerSettings(client_id="headrace-test"))
        self._reader = self._open_reader(
            {
                topic.name
                for plan in self.plans
                for topic in plan.topics
                if topic.role in ("link", "repartition", "changelog") and topic.name
            }
        )
        try:
            self._start()
        except BaseException:
            self._release()
            raise

    def _open_reader(self, links: Collection[str]) -> TopicReader:
        return Reader(self._broker, self._admin, unread=links)

    def _create(self, topics: Mapping[str, int]) -> None:
        named = {
            topic.name
            for plan in self.plans
            for topic in plan.topics
            if topic.role in ("source", "table") and topic.name
        }
        counts = {**dict.fromkeys(sorted(named), self.settings.partitions), **topics}
        self._admin.create(
            [
                NewTopic(name=name, partitions=count, config=KEPT_FOR_EVER)
                for name, count in counts.items()
            ]
        )

    def _start(self) -> None:
        described = ensure_topics(self._admin, self.plans, self.settings)
        for plans in self._groups.values():
            self._members.append(
                Member(
                    plans,
                    settings=self.settings,
                    broker=self._broker,
                    clock=self._worker_clock,
                    values=self._values,
                    name=WORKER,
                    topics=described,
                    callers=self._callers,
                    visited=lambda *place: self.visited.add(CoveragePlace(*place)),
                )
            )

    # ---- records in

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that the flows' triggers name, without those that a pattern chooses."""
        found = {
            topic.name: None
            for plan in self.plans
            for topic in plan.topics
            if topic.role in ("source", "table") and topic.name
        }
        return tuple(found)

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | str | None = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Write one record, outside of any transaction, at the clock's time unless `timestamp` says otherwise.

        Raises:
            SettingsError: no flow reads the topic, or the broker does not take the record.
        """
        self._check_open()
        if topic not in self.sources:
            self._create_matching(topic)
        try:
            self._producer.produce(
                topic,
                value,
                key=key,
                partition=-1 if partition is None else partition,
                on_delivery=self._note_own,
                timestamp=timestamp or 0,
                headers=list(headers) or None,
            )
        except Exception as error:
            if self._broker.reaction(error) is None:
                raise
            raise SettingsError(f"the record for '{topic}' was not taken: {error}") from error
        self._producer.flush(10.0)

    def _note_own(self, error: object, message: Message) -> None:
        if error is None:
            self._own.add((message.topic(), message.partition(), message.offset()))

    def _create_matching(self, topic: str) -> None:
        patterns = [
            source.pattern
            for plan in self.plans
            for sub in plan.sub_topologies
            for source in sub.sources
            if source.pattern
        ]
        if not any(re2.fullmatch(pattern, topic) for pattern in patterns):
            raise SettingsError(
                f"no flow reads topic '{topic}'{did_you_mean(topic, self.sources)}"
                f"; read are {', '.join((*self.sources, *(f'~ {p}' for p in patterns)))}"
            )
        self._admin.create(
            [NewTopic(name=topic, partitions=self.settings.partitions, config=KEPT_FOR_EVER)]
        )

    # ---- work

    def run(self, *, commit: bool = True) -> None:
        """Process until nothing is left, across link topics, and commit.

        Without `commit` what was read is processed, and the transaction stays open.

        Raises:
            HeadraceError: what would end a worker; its group does nothing more until `restart`.
        """
        self._check_open()
        for _ in range(ROUNDS_MAX):
            if commit:
                # Twice the interval, because a sum of seconds since 1970 is not exact.
                self._worker_clock.pass_by(2 * self.settings.commit_interval)
            if not self._round(commit=commit):
                return
        raise RestartError(
            f"the flows did not come to rest after {ROUNDS_MAX:,} rounds; does one write to a topic that it reads?"
        )

    def _round(self, timeout_s: float = 0.0, *, commit: bool = False) -> bool:
        """Let every member read once; False when none of them did anything."""
        was_busy = False
        for member in list(self._members):
            before = _deeds(member)
            try:
                read = member.step(timeout_s)
            except BaseException:
                self._members.remove(member)
                member.abandon()
                raise
            was_busy = was_busy or read > 0 or _deeds(member) != before
            was_busy = was_busy or (commit and not member.is_resting)
        return was_busy

    def advance(self, seconds: float) -> None:
        """Finish what is left to do, move the clock, and do what has become due."""
        assert isinstance(self._clock, ManualClock), "only a manual clock can be moved"
        self.run()
        self._clock.advance(seconds)
        self.run()

    def restart(self) -> None:
        """Kill the worker and start it again: what was not committed is aborted and will be read again."""
        self._check_open()
        for member in self._members:
            member.abandon()
        self._members.clear()
        self._start()

    def fail_next_commit(self) -> None:
        """Let the broker in memory refuse the next commit; the worker aborts, and tries again."""
        cast("MemoryEngine", self._broker).faults.fail_next_commit()

    # ---- records out

    def topics(self) -> tuple[str, ...]:
        """Every topic that exists and is not one between two stages."""
        return self._reader.topics()

    @property
    def dead_letter_topics(self) -> Mapping[str, str]:
        """The dead-letter topic of each flow that has one."""
        return {plan.name: plan.dead_letter_topic for plan in self.plans if plan.dead_letter_topic}

    def received(self, topic: str, begin: int = 0) -> list[TestRecord]:
        """The committed records of a topic from the `begin`-th on that was seen, by partition and offset."""
        self._check_open()
        return [read_record(message) for message in self._reader.read(topic)[begin:]]

    def written(self, topic: str) -> list[TestRecord]:
        """The committed records of a topic without those that `send` wrote."""
        return [
            record
            for record in self.received(topic)
            if (record.topic, record.partition, record.offset) not in self._own
        ]

    def dead_letters(self, flow: str, begin: int = 0) -> list[DeadLetter]:
        """The committed dead letters of a flow, likewise."""
        self._check_open()
        topic = self.dead_letter_topics.get(flow)
        if topic is None:
            return []
        return [read_dead_letter(message) for message in self._reader.read(topic)[begin:]]

    @property
    def coverage(self) -> Coverage:
        """What was reached so far."""
        return coverage_of(self.plans, self.visited)

    # ---- the end

    def close(self) -> None:
        """Stop the worker; what was not committed is aborted. May be called again."""
        self._is_closed = True
        for member in self._members:
            member.abandon()
        self._members.clear()
        self._release()

    def _release(self) -> None:
        self._reader.close()
        self._producer.close()
        self._admin.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the test is over: its worker and its topics are closed")

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _deeds(member: Member) -> tuple[Any, ...]:
    statistics = member.statistics
    return statistics.commits, statistics.aborts, statistics.rejoins
