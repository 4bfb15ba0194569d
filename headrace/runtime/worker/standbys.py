"""Which standby copies this member keeps: asked of the group every few seconds, in a thread of its own."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, GroupMember, TopicPartition
from headrace.runtime.errors import HeadraceError
from headrace.runtime.plan import Plan
from headrace.runtime.state.placement import standbys
from headrace.runtime.state.replica import Replica

logger = logging.getLogger(__name__)

ASK_EVERY_S = 5.0


class Standbys:
    """Belongs to the member's thread; only the question to the group is asked in another.

    Args:
        me: the client id of this member's consumer.
        replica: what a changelog partition is copied to.
        follow: replaces the set of copies.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        me: str,
        copies: int,
        admin: Admin,
        clock: Clock,
        replica: Callable[[TopicPartition], Replica],
        follow: Callable[[Iterable[Replica]], None],
    ) -> None:
        self._group = plans[0].group
        self._me = me
        self._copies = copies
        self._admin = admin
        self._clock = clock
        self._replica = replica
        self._follow = follow
        self._changelogs = changelogs_by_topic(plans)
        self._pool = ThreadPoolExecutor(1, "headrace-standbys") if copies else None
        self._asked: Future[list[GroupMember]] | None = None
        self._next_s = clock.monotonic_s()

    def poll(
        self,
        assigned: Collection[TopicPartition],
        active: Callable[[], Collection[TopicPartition]],
    ) -> None:
        """Take in an answer, and ask again when it is time. Returns at once.

        `active` tells the changelogs of this member's own tasks.
        """
        if self._pool is None:
            return
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            try:
                members = asked.result()
            except HeadraceError as error:
                logger.info("the members of group %s were not told: %s", self._group, error)
            else:
                self._place(members, assigned, active())
        if self._asked is None and self._clock.monotonic_s() >= self._next_s:
            self._next_s = self._clock.monotonic_s() + ASK_EVERY_S
            self._asked = self._pool.submit(self._admin.group_members, self._group)

    def _place(
        self,
        members: Sequence[GroupMember],
        assigned: Collection[TopicPartition],
        active: Collection[TopicPartition],
    ) -> None:
        mine = next((one for one in members if one.client_id == self._me), None)
        if mine is None or set(mine.assignment) != set(assigned):
            self._next_s = (
                self._clock.monotonic_s() + 1.0
            )  # partitions are on their way: ask again soon
            return
        found = standbys(self._me, members, self._copies, self._changelogs)
        self._follow([self._replica(one) for one in sorted(found - set(active))])

    def close(self) -> None:
        """Ask no more. May be called again."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def changelogs_by_topic(plans: Sequence[Plan]) -> dict[str, list[str]]:
    """The changelogs of the tasks that read a topic, by topic; topics that a pattern chooses are left out."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        for store in plan.stores:
            sub = plan.sub_topologies[store.sub_topology]
            for source in sub.sources:
                for topic in source.topics:
                    found.setdefault(topic, []).append(store.changelog)
    return found
