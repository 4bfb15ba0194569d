"""The answers of runs (`mode: sync`): the flow publishes to the reply topic, and a header tells which request it is for.

Every worker reads the whole reply topic, from the moment at which it starts, and picks what its own requests wait for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headrace.connectors.webhook.answers import JSON, Answer
from headrace.connectors.webhook.config import REQUEST_ID
from headrace.runtime.contracts.broker import Message, Reader, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import RetriableError

BATCH = 1_000
READ_S = 0.1
STATUS = "status"
CONTENT_TYPE = "content-type"
_NO_BODY = (204, 304)


@dataclass(frozen=True)
class _Waiting:
    future: asyncio.Future[Answer]


class Replies:
    """Requests that wait for their runs. `wait_for` and `forget` belong to the event loop, `read` to one thread."""

    def __init__(self, place: FeedPlace, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self._place = place
        self._topic = topic
        self._loop = loop
        self._waiting: dict[bytes, _Waiting] = {}

    def wait_for(self, request_id: str) -> asyncio.Future[Answer]:
        """Called before the record is written, so that no answer can come too early."""
        waiting = _Waiting(self._loop.create_future())
        self._waiting[request_id.encode()] = waiting
        return waiting.future

    def forget(self, request_id: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(request_id.encode(), None)

    def read(self, is_over: Callable[[], bool], ready: Callable[[], None]) -> None:
        """Read until it is over; `ready` is called when no later answer can be missed.

        Raises:
            RetriableError: the topic does not exist yet.
            HeadraceError: as of `Reader.read`; call again.
        """
        reader = self._place.reader()
        try:
            reader.assign(self._ends())
            ready()
            while not is_over():
                self._take(reader)
        finally:
            reader.close()

    def _ends(self) -> dict[TopicPartition, int]:
        admin = self._place.admin()
        try:
            described = admin.describe([self._topic]).get(self._topic)
            if described is None:
                raise RetriableError(f"the reply topic '{self._topic}' does not exist yet")
            return admin.ends(TopicPartition(self._topic, n) for n in range(described.partitions))
        finally:
            admin.close()

    def _take(self, reader: Reader) -> None:
        answers = []
        for message in reader.read(BATCH, READ_S):
            headers = dict(message.headers() or ())
            id_ = headers.get(REQUEST_ID)
            if id_ is not None and id_ in self._waiting:
                answers.append((id_, answer_of(message, headers)))
        if answers:
            self._loop.call_soon_threadsafe(self._pass_on, answers)

    def _pass_on(self, answers: list[tuple[bytes, Answer]]) -> None:
        for id_, answer in answers:
            waiting = self._waiting.pop(id_, None)
            if waiting is not None and not waiting.future.done():
                waiting.future.set_result(answer)


def answer_of(message: Message, headers: dict[str, bytes | None]) -> Answer:
    """A record of the reply topic as an answer: its headers may hold `status` and `content-type`."""
    told = (headers.get(STATUS) or b"200").decode("latin-1")
    is_status = told.isascii() and told.isdecimal() and len(told) == 3 and 200 <= int(told) <= 599
    status = int(told) if is_status else 500
    media_type = (headers.get(CONTENT_TYPE) or JSON.encode()).decode("latin-1")
    if not media_type.isprintable():
        media_type = JSON
    body = b"" if status in _NO_BODY else message.value() or b""
    return Answer(status, body, media_type)
