"""What runs beside the event loop: the producer's reports, the topic's tail, and the answers of runs.

========== ===================== ===============================================================
state      next                  what requests are answered with
========== ===================== ===============================================================
starting   running, retrying     503: connections are made, and who has sent what before is being read
running    retrying, closed      what they deserve
retrying   running, closed       503: the broker does not answer, or the producer is made anew
closed                           503
========== ===================== ===============================================================
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event, Thread

from headrace.connectors.webhook.outgoing import Outgoing, Record
from headrace.connectors.webhook.replies import Replies
from headrace.connectors.webhook.tail import Delivery, read_tail
from headrace.runtime.contracts.broker import Producer, ProducerSettings, TopicDescription
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus
from headrace.runtime.errors import HeadraceError, RetriableError

logger = logging.getLogger(__name__)

POLL_S = 0.1
IDLE_S = 0.5
RESTED_S = 0.01
PAUSE_S = 1.0
STATUS_S = 1.0
LOOK_S = 10.0
"""How often to ask whether the topic takes larger records by now, while there are some that are too large."""
SILENT_S = 5.0
"""A connection that takes longer to make, or to make anew, is a Kafka that does not answer."""
CONNECTING = "the connection to Kafka is being made"
SILENT = "Kafka does not answer"
JOIN_S = 5.0
LINGER_MS = "2"
UNKNOWN_AFTER_MS = "300000"


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """What a bridge is told by its webhook. `remembered` is 0 where nothing is to be remembered."""

    topic: str
    ack_timeout_s: float
    window_ms: int = 0
    remembered: int = 0
    follows: bool = False
    reply_topic: str | None = None


@dataclass
class Figures:
    """What was counted since the start, for metrics. Written in the event loop, read by anybody."""

    counts: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count


class Bridge:
    """The threads of one webhook in one worker. Made in the event loop; begins at once.

    Args:
        settled: see `Outgoing`.
        remember: is given deliveries that were found in the topic, in the event loop.
    """

    def __init__(
        self,
        place: FeedPlace,
        settings: BridgeSettings,
        figures: Figures,
        *,
        settled: Callable[[Record, bool], None],
        remember: Callable[[Sequence[Delivery]], None],
    ) -> None:
        self._place = place
        self._settings = settings
        self._figures = figures
        self._settled = settled
        self._remember = remember
        self._loop = asyncio.get_running_loop()
        self._end = Event()
        self._written = Event()
        self._reported_s = 0.0
        self._well_s = place.clock.monotonic_s()  # when Kafka was last heard; the start counts
        self._has_tail = settings.remembered == 0
        self._hears_replies = settings.reply_topic is None
        self.outgoing: Outgoing | None = None
        """Where records go while it is running; None otherwise."""
        self.replies = (
            Replies(place, settings.reply_topic, self._loop) if settings.reply_topic else None
        )
        self._threads = [self._thread("writer", self._write)]
        if settings.remembered:
            self._threads.append(self._thread("tail", self._read_tail))
        if self.replies is not None:
            self._threads.append(self._thread("replies", self._read_replies))
        for thread in self._threads:
            thread.start()

    @property
    def why_not(self) -> str:
        """Why nothing can be taken now; empty when it can."""
        if self._is_over():
            return "the worker is stopping"
        if not self._has_tail:
            return "what was taken before is being read"
        if self.outgoing is None or not self._hears_replies:
            silent_s = self._place.clock.monotonic_s() - self._well_s
            return SILENT if silent_s >= SILENT_S else CONNECTING
        return ""

    @property
    def unreported(self) -> int:
        outgoing = self.outgoing
        return 0 if outgoing is None else outgoing.unreported

    def wake(self) -> None:
        """Something was written: look for reports."""
        if not self._written.is_set():
            self._written.set()

    async def close(self) -> None:
        """End the threads, after what was written is acknowledged or its time is over. May be called again."""
        self._end.set()
        self._written.set()
        await asyncio.gather(*(asyncio.to_thread(one.join, JOIN_S) for one in self._threads))

    # ---- threads

    def _thread(self, name: str, run: Callable[[], None]) -> Thread:
        return Thread(
            target=self._again_and_again,
            args=(run,),
            name=f"headrace webhook {self._place.stage} {name}",
            daemon=True,
        )

    def _is_over(self) -> bool:
        return self._end.is_set() or self._place.stopped.is_set()

    def _again_and_again(self, run: Callable[[], None]) -> None:
        while not self._is_over():
            try:
                run()
            except HeadraceError as error:
                self._told("retrying", str(error))
            except Exception:  # whatever it is, requests must go on being answered, with 503
                logger.exception("webhook %s: beginning anew", self._place.name)
                self._told("retrying", "an unexpected error; the worker's log says more")
            else:
                continue
            self._end.wait(PAUSE_S)

    def _write(self) -> None:
        """Serve one producer until it breaks."""
        topic = self._described()
        producer = self._producer(topic)
        outgoing = Outgoing(
            self._place.broker,
            producer,
            self._settings.topic,
            loop=self._loop,
            ack_timeout_s=self._settings.ack_timeout_s,
            settled=self._settled,
        )
        self.outgoing = outgoing
        try:
            self._tell(outgoing)
            looked_s = self._place.clock.monotonic_s()
            while not (self._is_over() or outgoing.is_broken):
                self._serve(outgoing)
                now_s = self._place.clock.monotonic_s()
                if outgoing.has_met_limit and now_s - looked_s >= LOOK_S:
                    looked_s, outgoing.has_met_limit = now_s, False
                    if self._described().message_bytes_max != topic.message_bytes_max:
                        break
            self.outgoing = None
            self._drain(outgoing)
        finally:
            self.outgoing = None
            producer.close()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(outgoing.give_up)

    def _serve(self, outgoing: Outgoing) -> None:
        self._written.clear()
        if outgoing.poll(POLL_S) == 0:
            # A broker in memory answers at once, and an idle one need not be asked ten times a second.
            self._written.wait(RESTED_S if outgoing.unreported else IDLE_S)
        now_s = self._place.clock.monotonic_s()
        if self._hears_replies:
            self._well_s = now_s
        if now_s - self._reported_s >= STATUS_S:
            self._tell(outgoing)

    def _drain(self, outgoing: Outgoing) -> None:
        """Wait for what is on its way, unless nobody waits for it any more."""
        end_s = self._place.clock.monotonic_s() + self._settings.ack_timeout_s
        while outgoing.unreported and not outgoing.is_broken:
            if self._place.clock.monotonic_s() >= end_s:
                return
            if outgoing.poll(POLL_S) == 0:
                self._place.clock.sleep(RESTED_S)

    def _described(self) -> TopicDescription:
        admin = self._place.admin()
        try:
            found = admin.describe([self._settings.topic]).get(self._settings.topic)
        finally:
            admin.close()
        if found is None:
            raise RetriableError(f"topic '{self._settings.topic}' does not exist yet")
        return found

    def _producer(self, topic: TopicDescription) -> Producer:
        place, limit = self._place, topic.message_bytes_max
        return place.broker.producer(
            ProducerSettings(
                client_id=f"{place.name}.feed",
                message_bytes_max=limit,
                batch_bytes_max=limit,
                reports_deliveries=True,
                # Longer than `ack_timeout`: a client that gives a record up does not know whether it arrived, and whoever sends
                # it again makes a duplicate (test_every_2xx_is_in_the_topic_once_and_everything_else_was_told).
                client={
                    "linger.ms": LINGER_MS,
                    **place.client,
                    "message.timeout.ms": UNKNOWN_AFTER_MS,
                },
            )
        )

    def _read_tail(self) -> None:
        topic = self._described()
        tail = read_tail(
            self._place,
            topic.name,
            topic.partitions,
            window_ms=self._settings.window_ms,
            count_max=self._settings.remembered,
            is_over=self._is_over,
        )
        with closing(tail):
            for found in tail:
                if found:
                    self._loop.call_soon_threadsafe(self._remember, found)
                elif not self._has_tail:
                    self._loop.call_soon_threadsafe(self._tail_was_read)
                    if not self._settings.follows:
                        break
        self._end.wait()

    def _tail_was_read(self) -> None:
        """In the event loop, behind everything that was found."""
        self._has_tail = True

    def _read_replies(self) -> None:
        assert self.replies is not None
        try:
            self.replies.read(self._is_over, self._replies_are_heard)
        finally:
            self._hears_replies = False

    def _replies_are_heard(self) -> None:
        self._hears_replies = True

    def _tell(self, outgoing: Outgoing) -> None:
        if why_not := self.why_not:
            self._told("retrying" if why_not == SILENT else "starting", why_not)
        else:
            self._told("retrying" if outgoing.trouble else "running", outgoing.trouble)

    def _told(self, state: str, text: str) -> None:
        self._reported_s = self._place.clock.monotonic_s()
        figures = {**self._figures.counts, "in_flight": float(self.unreported)}
        self._place.report(FeedStatus(state=state, text=text, figures=figures))  # type: ignore[arg-type] # one of the states
