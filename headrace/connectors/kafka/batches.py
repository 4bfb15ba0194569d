"""One batch out of the client: records, and the events that come in the same stream."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from confluent_kafka import KafkaError, Message

from headrace.connectors.kafka.positions import partition_of
from headrace.runtime.contracts.broker import TopicPartition

COUNT_MAX = 1_000_000
_GATHER_S = 0.005
_ERROR_OF = Message.error


class Batch(NamedTuple):
    """Records and events, told apart; each kind in the order of the stream."""

    records: list[Message]
    ends: dict[TopicPartition, int]  # that were reached, with the offset of the last one
    errors: list[tuple[KafkaError, Message]]


def collect(
    poll: Callable[[int, float], list[Message]], count: int, timeout_s: float
) -> list[Message]:
    """Return soon after the first record or event is there: the client's own call waits until it has `count`."""
    count = min(count, COUNT_MAX)
    messages = poll(count, min(timeout_s, _GATHER_S))
    if not messages and timeout_s > _GATHER_S:
        messages = poll(1, timeout_s - _GATHER_S)
        if messages and count > 1:
            messages += poll(count - 1, _GATHER_S)
    return messages


def has_events(messages: Iterable[Message]) -> bool:
    """Whether not all of them are records; 25 ns a record."""
    return any(map(_ERROR_OF, messages))


def tell_apart(messages: Iterable[Message]) -> Batch:
    """Take the events out of a batch that has some."""
    batch = Batch([], {}, [])
    for message in messages:
        error = message.error()
        if error is None:
            batch.records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            batch.ends[partition_of(message)] = cast("int", message.offset())
        else:
            batch.errors.append((error, message))
    return batch
