"""Deletes records of topics between stages that were read and committed: they are of no use to anybody."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, TopicPartition
from headrace.runtime.errors import HeadraceError
from headrace.runtime.plan import Plan

logger = logging.getLogger(__name__)

PURGE_EVERY_S = 30.0


class LinkPurge:
    """Every thirty seconds, in a thread of its own, so that commits do not wait for it.

    A purge that fails is made up for by the next one. What was sent back to a stage goes at once: the group does not subscribe
    to its topic, so the brokers forget its position there when nothing was committed for `offsets.retention.minutes`.
    """

    def __init__(self, admin: Admin, plans: Sequence[Plan], clock: Clock) -> None:
        self._admin = admin
        self._clock = clock
        self._topics = {topic for plan in plans for topic in plan.link_topics.values()}
        self._replays = {plan.replay_topic(sub) for plan in plans for sub in plan.sub_topologies}
        self._next_s = clock.monotonic_s() + PURGE_EVERY_S
        self._positions: dict[TopicPartition, int] = {}
        self._pool = ThreadPoolExecutor(1, "headrace-purge")
        self._running: Future[None] | None = None

    def committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note committed positions, and purge when it is time. Returns at once."""
        replayed = {p: o for p, o in positions.items() if p.topic in self._replays}
        self._positions.update({p: o for p, o in positions.items() if p.topic in self._topics})
        self._positions.update(replayed)
        now_s = self._clock.monotonic_s()
        if (
            (now_s < self._next_s and not replayed)
            or not self._positions
            or (self._running and not self._running.done())
        ):
            return
        self._next_s = now_s + PURGE_EVERY_S
        self._running = self._pool.submit(self._purge, self._positions)
        self._positions = {}

    def _purge(self, positions: Mapping[TopicPartition, int]) -> None:
        try:
            self._admin.delete_records(positions)
        except HeadraceError as error:
            logger.warning(
                "records of link topics were not purged, again in %.0f s: %s", PURGE_EVERY_S, error
            )

    def close(self) -> None:
        """Wait for a purge under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)
