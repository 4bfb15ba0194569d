"""One stay in a group: from joining with a consumer and a producer until both are closed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import InlineAction
from headrace.runtime.contracts.broker import (
    Admin,
    Broker,
    ConsumerSettings,
    Message,
    ProducerSettings,
    RebalanceListener,
    TopicPartition,
)
from headrace.runtime.contracts.call import Caller
from headrace.runtime.environment import Values
from headrace.runtime.errors import HeadraceError
from headrace.runtime.plan import Plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.state.restore import Restorer
from headrace.runtime.task.calls import Calls
from headrace.runtime.task.commit import Commit, NoState, Step
from headrace.runtime.task.formats import Formats
from headrace.runtime.task.program import Program
from headrace.runtime.worker.client_ids import client_id
from headrace.runtime.worker.global_tables import GlobalTables
from headrace.runtime.worker.member_store import MemberStore
from headrace.runtime.worker.output_topics import OutputTopics, limited_produce
from headrace.runtime.worker.purge import LinkPurge
from headrace.runtime.worker.replays import Replays
from headrace.runtime.worker.task_calls import TaskCalls
from headrace.runtime.worker.tasks import Tasks
from headrace.runtime.worker.topics import TopicsInUse

logger = logging.getLogger(__name__)

BEGIN_TIMEOUT_S = 30.0
RECORD_BYTES_MAX = 1_000_000
"""The largest record a producer writes unless a topic takes larger ones (librdkafka's default)."""


class Session:
    """A consumer, a producer and the program between them. Belongs to its member's thread."""

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        settings: WorkerSettings,
        broker: Broker,
        admin: Admin,
        clock: Clock,
        values: Values,
        name: str,
        address: str | None,
        topics: TopicsInUse,
        store: MemberStore,
        formats: Formats,
        listener: RebalanceListener,
        reached: Callable[[Step], None],
        callers: Callable[[str, str], Caller] | None,
        visited: Callable[[str, str, str], None] | None,
    ) -> None:
        group = plans[0].group
        self.is_begun = False
        self.is_abandoned = False
        self._is_transactional = settings.processing == "exactly_once"
        limits = topics.limits(plans)
        largest = max([RECORD_BYTES_MAX, *limits.values()])
        self.producer = broker.producer(
            ProducerSettings(
                client_id=f"{group}.{name}",
                transactional_id=f"{group}.{name}" if self._is_transactional else None,
                message_bytes_max=largest,
                batch_bytes_max=min([RECORD_BYTES_MAX, *limits.values()]),
                compression=compression_of(plans),
                client=settings.client,
            )
        )
        try:
            # Fences a dead predecessor and ends its transaction before its positions are looked up.
            if self._is_transactional:
                self.producer.init_transactions(BEGIN_TIMEOUT_S)
            limited_produce(self.producer, limits, largest)
            self.program = Program(
                plans,
                broker=broker,
                producer=self.producer,
                clock=clock,
                values=values,
                topics=OutputTopics(admin, topics, settings, clock),
                formats=formats,
                visited=visited,
                dead_letter_limit=settings.dead_letter_limit,
            )
            for topic in topics.described:
                self.program.functions(topic)
            self.consumer = broker.consumer(
                ConsumerSettings(
                    group=group,
                    client_id=client_id(group, name, address),
                    instance_id=name if settings.instance_id else None,
                    protocol=settings.group_protocol,
                    session_timeout_ms=int(settings.session_timeout.total_seconds() * 1000),
                    assignor=assignor_of(plans),
                    client=settings.client,
                )
            )
        except BaseException:
            self.producer.close()
            raise
        self.tasks = (
            self._make_tasks(
                plans,
                settings,
                broker,
                admin,
                clock,
                values,
                name,
                address,
                topics,
                store,
                formats,
                callers,
            )
            if any(plan.is_stateful for plan in plans)
            else None
        )
        self.replays = Replays(
            plans,
            program=self.program,
            tasks=self.tasks,
            admin=admin,
            clock=clock,
            committed=self.consumer.committed,
            new_reader=lambda: broker.reader(f"{group}.{name}.replay", settings.client),
        )
        self._purge = LinkPurge(admin, plans, clock)
        self.commit = Commit(
            self.producer,
            self.consumer,
            state=self.tasks.commit if self.tasks else NoState(),
            is_transactional=self._is_transactional,
            reached=reached,
            release=self._purge.committed,
        )
        self.consumer.subscribe(subscription(plans), listener)

    def _make_tasks(
        self,
        plans: Sequence[Plan],
        settings: WorkerSettings,
        broker: Broker,
        admin: Admin,
        clock: Clock,
        values: Values,
        name: str,
        address: str | None,
        topics: TopicsInUse,
        store: MemberStore,
        formats: Formats,
        callers: Callable[[str, str], Caller] | None,
    ) -> Tasks:
        opened = store.open()
        reader_id = f"{plans[0].group}.{name}.restore"
        tables = GlobalTables(
            plans,
            opened,
            admin,
            topics.partitions,
            lambda: broker.reader(f"{plans[0].group}.{name}.tables", settings.client),
            formats,
        )
        return Tasks(
            plans,
            program=self.program,
            producer=self.producer,
            consumer=self.consumer,
            store=opened,
            restorer=Restorer(
                opened,
                new_reader=lambda: broker.reader(reader_id, settings.client),
                admin=admin,
                clock=clock,
                name=f"headrace {plans[0].group} restore",
            ),
            admin=admin,
            clock=clock,
            topics=topics,
            idle_ms=int(settings.idle_after.total_seconds() * 1000),
            proof_s=settings.session_timeout.total_seconds() / 3,
            tables=tables,
            me=client_id(plans[0].group, name, address),
            copies=settings.standby,
            calls=TaskCalls(
                Calls(
                    plans,
                    clock=clock,
                    values=values,
                    name=f"headrace {plans[0].group} calls",
                    callers=callers,
                ),
                self.program,
            ),
        )

    def process(self, messages: Sequence[Message]) -> None:
        """Run records through the flows."""
        if self.tasks is None:
            self.program.run(messages)
            return
        for partition, batch in self.tasks.batches(messages):
            self.program.run(batch)
            self.tasks.run(partition, batch)
        self.tasks.drain()

    def begin(self) -> None:
        """Begin a transaction unless one is open."""
        if self.is_begun:
            return
        if self._is_transactional:
            self.producer.begin_transaction()
        self.is_begun = True

    def ended(self) -> None:
        """Note that the transaction is over."""
        self.is_begun = False

    def abort(self, timeout_s: float) -> None:
        """Abort the open transaction, if there is one.

        Raises:
            FencedError: the producer can do nothing any more.
            BrokerUnavailableError: no answer in time.
        """
        if self.is_begun and self._is_transactional:
            self.producer.abort_transaction(timeout_s)
        self.is_begun = False
        self.replays.abort()
        if self.tasks is not None:
            self.tasks.abort()

    def positions(self, begun: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where each partition stands: after what was processed, or where it begins."""
        held = self.tasks.held_positions() if self.tasks is not None else {}
        return {**begun, **self.consumer.positions(), **held}

    def close(self) -> None:
        """Leave the group and close the clients."""
        self.consumer.close()
        self.replays.close()
        self._close_tasks()
        self.producer.close()
        self._purge.close()

    def _close_tasks(self) -> None:
        if self.tasks is not None:
            self.tasks.close()

    def abandon(self) -> None:
        """Abort what is open and close the clients, whatever happens. Never raises."""
        self.is_abandoned = True
        steps: list[tuple[str, Callable[[], Any]]] = [
            ("aborting", lambda: self.abort(5.0)),
            ("leaving the group", self.consumer.close),
            ("ending the reading of replays", self.replays.close),
            ("ending the restoring", self._close_tasks),
            ("closing the producer", self.producer.close),
            ("ending the purge", self._purge.close),
        ]
        for what, step in steps:
            try:
                step()
            except HeadraceError as error:
                logger.info("%s: %s", what, error)
        self.is_begun = False


def subscription(plans: Sequence[Plan]) -> list[str]:
    """The topics and patterns of all sources, as `Consumer.subscribe` takes them."""
    names: dict[str, None] = {}
    for plan in plans:
        for sub in plan.sub_topologies:
            for source in sub.sources:
                names.update(dict.fromkeys(source.topics))
                if source.pattern:
                    names[f"^{source.pattern}"] = None
    return list(names)


def assignor_of(plans: Sequence[Plan]) -> Literal["sticky", "range"]:
    """`range` where a task reads several topics: their partitions of one number must come to one member."""
    for plan in plans:
        for sub in plan.sub_topologies:
            topics = {topic for source in sub.sources for topic in source.topics}
            if sub.keyed and (len(topics) > 1 or any(source.pattern for source in sub.sources)):
                return "range"
    return "sticky"


def compression_of(plans: Sequence[Plan]) -> str:
    """The compression that the stages of a group ask for; lz4 when none does."""
    asked = {
        sink.compression
        for plan in plans
        for node in plan.graph.nodes
        if isinstance(node.action, InlineAction)
        for sink in node.action.sinks()
        if sink.compression
    }
    return min(asked) if asked else "lz4"
