"""Records on their way to Kafka, as one producer has them."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from headrace.connectors.webhook.answers import RefusedError
from headrace.runtime.contracts.broker import Broker, Headers, Producer, Reaction


@dataclass(frozen=True, slots=True)
class Record:
    """What is written. `digest` stands for the delivery, where its sender names it."""

    key: bytes | str | None
    value: bytes
    headers: Headers
    timestamp_ms: int
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """Where a record is."""

    partition: int
    offset: int


Fate = Written | RefusedError


class Outgoing:
    """Writes records with one producer, and tells the event loop what becomes of each.

    `write`, `settle` and `expire` belong to the event loop, `poll` to one thread beside it.

    Args:
        settled: is told in the event loop of every record that Kafka has, or will never get.
    """

    def __init__(
        self,
        broker: Broker,
        producer: Producer,
        topic: str,
        *,
        loop: asyncio.AbstractEventLoop,
        ack_timeout_s: float,
        settled: Callable[[Record, bool], None],
    ) -> None:
        self._broker = broker
        self._producer = producer
        self._topic = topic
        self._loop = loop
        self._ack_timeout_s = ack_timeout_s
        self._settled = settled
        self._reports: deque[tuple[_Waiting, Any, int, int]] = deque()
        self._waiting: set[_Waiting] = set()
        self.is_broken = False
        """The producer cannot go on; take another one."""
        self.has_met_limit = False
        """A record was too large since this was last set to False; the topic may take another size by now."""
        self.trouble = ""
        """Why the last record was not written; empty when it was."""

    @property
    def unreported(self) -> int:
        """Records of which nothing is known yet; some of them nobody waits for any more."""
        return len(self._waiting)

    def write(self, record: Record) -> asyncio.Future[Fate]:
        """Write a record; the future is done when it is acknowledged or refused, or the time is over.

        A record whose time is over may still arrive.
        """
        future: asyncio.Future[Fate] = self._loop.create_future()
        waiting = _Waiting(record, future)
        try:
            self._producer.produce(
                self._topic,
                record.value,
                record.key,
                on_delivery=lambda error, message: self._report(waiting, error, message),
                timestamp=record.timestamp_ms,
                headers=record.headers,
            )
        except BufferError:
            self._end(waiting, unavailable("the queue of records for Kafka is full"))
        except Exception as error:  # the client's own; told apart below
            self._end(waiting, self._refusal(error))
        else:
            self._waiting.add(waiting)
            waiting.timer = self._loop.call_later(self._ack_timeout_s, self._expire, waiting)
        return future

    def poll(self, timeout_s: float) -> int:
        """Serve what the client reports; how many reports there were."""
        count = self._producer.poll(timeout_s)
        if self._reports:
            self._loop.call_soon_threadsafe(self.settle)
        return count

    def _report(self, waiting: "_Waiting", error: Any, message: Any) -> None:
        partition = -1 if error is not None else message.partition()
        offset = -1 if error is not None else message.offset()
        self._reports.append((waiting, error, partition, offset))

    def settle(self) -> None:
        """Pass on what was reported."""
        while self._reports:
            waiting, error, partition, offset = self._reports.popleft()
            self._waiting.discard(waiting)
            fate = Written(partition, offset) if error is None else self._refusal(error)
            self._end(waiting, fate)

    def give_up(self) -> None:
        """The producer is gone: what it had not reported is unknown for ever."""
        self.settle()
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            self._end(one, unavailable("the connection to Kafka was made anew"))

    def _end(self, waiting: "_Waiting", fate: Fate) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        self.trouble = fate.detail if isinstance(fate, RefusedError) else ""
        self._settled(waiting.record, isinstance(fate, Written))
        if not waiting.future.done():
            waiting.future.set_result(fate)

    def _expire(self, waiting: "_Waiting") -> None:
        if not waiting.future.done():
            self.trouble = f"Kafka has not acknowledged within {self._ack_timeout_s:g} s"
            waiting.future.set_result(unavailable(self.trouble))

    def _refusal(self, error: Any) -> RefusedError:
        """What an error of the client means for whoever sent the request."""
        if self._broker.is_too_large(error):
            self.has_met_limit = True
            return RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the topic takes no record of this size"
            )
        reaction = self._broker.reaction(error)
        self.is_broken |= reaction in (Reaction.FENCED, Reaction.RESTART, None)
        return unavailable("Kafka has not taken the record")


class _Waiting:
    """A record without a report."""

    __slots__ = ("future", "record", "timer")

    def __init__(self, record: Record, future: asyncio.Future[Fate]) -> None:
        self.record = record
        self.future = future
        self.timer: asyncio.TimerHandle | None = None


def unavailable(detail: str, retry_after_s: float = 2) -> RefusedError:
    """The answer while Kafka does not take records."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=retry_after_s)
