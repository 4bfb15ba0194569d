"""Reads the dead letters of a flow."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import (
    Broker,
    Message,
    Producer,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.deadletters.ledger import Done, Ledger, apply
from headrace.runtime.deadletters.letter import Letter
from headrace.runtime.errors import (
    BrokerUnavailableError,
    HeadraceError,
    SettingsError,
    TransactionError,
)
from headrace.runtime.flow.suggestion import did_you_mean

READ_TIMEOUT_S = 30.0
"""How long nothing may come while there is something to read."""
TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which letters. What is left out chooses all; `before_ms` and `since_ms` are about the time of the failure."""

    ids: Collection[str] = ()
    stages: Collection[str] = ()
    error: re.Pattern[str] | None = None
    """Found anywhere in `<type>: <message>`."""
    since_ms: int | None = None
    before_ms: int | None = None
    includes_done: bool = False

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is among them, done or not."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.stages or letter.stage in self.stages)
            and (self.error is None or bool(self.error.search(_told(letter))))
            and (self.since_ms is None or letter.failed_at_ms >= self.since_ms)
            and (self.before_ms is None or letter.failed_at_ms < self.before_ms)
        )


def _told(letter: Letter) -> str:
    return f"{letter.error_type}: {letter.error}"


class LetterBox:
    """The dead-letter topic of one flow, with the ledger beside it. A context manager; belongs to one thread.

    Raises:
        SettingsError: there is no such topic.
    """

    def __init__(self, broker: Broker, client: Mapping[str, str], topic: str, clock: Clock) -> None:
        self.topic = topic
        self.ledger = Ledger(topic)
        self.broker = broker
        self.clock = clock
        self._client = client
        self.admin = broker.admin()
        self.reader = broker.reader(f"{topic}.dlq", client)
        try:
            self.existing = self.admin.topics()
            if topic not in self.existing:
                others = [name for name in self.existing if name.endswith(".dead-letters")]
                raise SettingsError(
                    f"there is no topic '{topic}'{did_you_mean(topic, others)}: no worker has run the flow here yet, or"
                    " the flow has another name, or the prefix is another one"
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LetterBox":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the clients. May be called again."""
        self.reader.close()
        self.admin.close()

    def letters(self, choice: Choice) -> Iterator[tuple[Letter, Done | None]]:
        """The chosen letters that are there now, in order per partition, with what became of them."""
        done = self.done()
        for message in self.records(self.topic):
            letter = Letter.of(message)
            became = done.get(letter.id)
            if (became is None or choice.includes_done) and choice.takes(letter):
                yield letter, became

    def letter(self, id: str) -> tuple[Letter, Done | None]:  # noqa: A002 # the word for it
        """One letter by its id.

        Raises:
            SettingsError: it is not there.
        """
        partition, dash, offset = id.partition("-")
        if not (dash and partition.isdigit() and offset.isdigit()):
            raise SettingsError(
                f"'{id[:40]}' names no dead letter; they are called by partition and offset, such as 0-17"
            )
        where = TopicPartition(self.topic, int(partition))
        message = self.record(where, int(offset))
        if message is None:
            raise SettingsError(
                f"there is no dead letter {id} in '{self.topic}'; see headrace dlq ls"
            )
        return Letter.of(message), self.done().get(id)

    def done(self) -> dict[str, Done]:
        """What became of the letters that are dealt with, by their ids."""
        found: dict[str, Done] = {}
        if self.ledger.topic in self.admin.topics():
            for message in self.records(self.ledger.topic):
                apply(found, message.key(), message.value())
        return found

    def record(self, where: TopicPartition, offset: int) -> Message | None:
        """One record of any topic, or None where it is gone."""
        if where.partition >= self.admin.topics().get(where.topic, 0):
            return None
        begin = self.admin.offsets([where], "earliest")[where]
        end = self.admin.offsets([where], "latest")[where]
        if not begin <= offset < end:
            return None
        first = next(self._records({where: offset}, {where: end}, 1), None)
        return first if first is not None and first.offset() == offset else None

    def records(self, topic: str) -> Iterator[Message]:
        """What is committed in a topic now.

        Raises:
            BrokerUnavailableError: it could not be read to its end.
        """
        every = [TopicPartition(topic, i) for i in range(self.admin.topics()[topic])]
        begin, end = self.admin.offsets(every, "earliest"), self.admin.offsets(every, "latest")
        yield from self._records({one: begin[one] for one in every if begin[one] < end[one]}, end)

    def _records(
        self,
        positions: Mapping[TopicPartition, int],
        end: Mapping[TopicPartition, int],
        count: int = 1_000,
    ) -> Iterator[Message]:
        if not positions:
            return
        self.reader.assign(positions)
        deadline_s = self.clock.monotonic_s() + READ_TIMEOUT_S
        while any(at < end[one] for one, at in self.reader.positions().items()):
            messages = self.reader.read(count, 0.5)
            if messages:
                deadline_s = self.clock.monotonic_s() + READ_TIMEOUT_S
            elif self.clock.monotonic_s() > deadline_s:
                raise BrokerUnavailableError(
                    f"'{next(iter(positions)).topic}' could not be read to its end within {READ_TIMEOUT_S:g} s; is the"
                    " cluster healthy?"
                )
            for message in messages:
                where = TopicPartition(message.topic(), message.partition())
                if message.offset() < end[where]:
                    yield message

    def producer(self, message_bytes_max: int) -> Producer:
        """A producer that fences whoever else deals with letters of this topic. For the caller to close."""
        self.ledger.create(self.admin)
        producer = self.broker.producer(
            ProducerSettings(
                client_id=f"{self.topic}.dlq",
                transactional_id=f"{self.topic}.dlq",
                transaction_timeout_ms=60_000,
                message_bytes_max=message_bytes_max,
                client=dict(self._client),
            )
        )
        producer.init_transactions(TIMEOUT_S)
        return producer

    @contextmanager
    def transaction(self, producer: Producer) -> Iterator[None]:
        """Commit what is produced inside, all or nothing.

        Raises:
            TransactionError: a record was refused; nothing was written.
        """
        producer.begin_transaction()
        try:
            try:
                yield
            except Exception as error:
                if self.broker.reaction(error) is None:
                    raise
                raise TransactionError(f"nothing was written: {error}") from error
            producer.flush(TIMEOUT_S)
            producer.commit_transaction(TIMEOUT_S)
        except BaseException:
            # An open transaction would hold up all readers of these topics until it expires.
            with suppress(HeadraceError):
                producer.abort_transaction(TIMEOUT_S)
            raise
