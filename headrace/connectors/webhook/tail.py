"""The end of the topic, in which is written which deliveries were taken: read at the start, and by wish all the time."""

from collections.abc import Callable, Generator, Iterator, Sequence

from headrace.connectors.webhook.config import DELIVERY
from headrace.connectors.webhook.remembered import digest_of
from headrace.runtime.contracts.broker import Message, Reader, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import DataLossError

BATCH = 2_000
READ_S = 0.2

Delivery = tuple[bytes, int]
"""A digest, and when it was written."""


def read_tail(
    place: FeedPlace,
    topic: str,
    partitions: int,
    *,
    window_ms: int,
    count_max: int,
    is_over: Callable[[], bool],
) -> Generator[Sequence[Delivery], None, None]:
    """The deliveries of the window, `count_max` records at most; then empty batches whenever there is nothing more.

    The first empty batch says that the end at the time of the call was reached. The caller closes the iterator.
    """
    every = [TopicPartition(topic, number) for number in range(partitions)]
    admin = place.admin()
    try:
        ends = admin.ends(every)
        begins = admin.offsets(every, max(0, place.clock.now_ms() - window_ms))
        lows = admin.offsets(every, "earliest")
    finally:
        admin.close()
    share = -(-count_max // partitions)
    at = {one: max(lows[one], begins[one], ends[one] - share) for one in every}
    reader = place.reader()
    try:
        reader.assign(at)
        yield from _until(reader, ends, is_over)
        yield ()
        while not is_over():
            yield _deliveries(_read(reader, place, every))
    finally:
        reader.close()


def _until(
    reader: Reader, ends: dict[TopicPartition, int], is_over: Callable[[], bool]
) -> Iterator[Sequence[Delivery]]:
    while not is_over():
        positions = reader.positions()
        if all(positions.get(one, 0) >= end for one, end in ends.items()):
            return
        if found := _deliveries(reader.read(BATCH, READ_S)):
            yield found


def _read(reader: Reader, place: FeedPlace, every: Sequence[TopicPartition]) -> Sequence[Message]:
    try:
        return reader.read(BATCH, READ_S)
    except DataLossError:  # retention was faster; what is gone is no longer of use
        admin = place.admin()
        try:
            reader.assign(admin.offsets(every, "latest"))
        finally:
            admin.close()
        return ()


def _deliveries(messages: Sequence[Message]) -> list[Delivery]:
    found: list[Delivery] = []
    for message in messages:
        for name, value in message.headers() or ():
            if name == DELIVERY and value:
                found.append((digest_of(value), message.timestamp()[1]))
                break
    return found
