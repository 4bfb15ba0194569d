"""State of an earlier shape: turned into the shape of this document before a task begins, or refused."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from headrace.runtime.contracts.action import Migration
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.plan import Plan, PlannedStore
from headrace.runtime.plan.evolution import anew, difference, migration
from headrace.runtime.state.codec import decode, encode, expiry_of
from headrace.runtime.state.layout import ACCUMULATOR, META, Changes, end_of, expand
from headrace.runtime.state.shapes import SHAPE

logger = logging.getLogger(__name__)

UNDER_WAY = META + b"migration"
"""Where a stage notes, with every commit of a migration, what it is turned into and how far that has come."""
BATCH_ENTRIES = 20_000
"""Accumulators that are turned between two looks at the consumer."""
Records = list[tuple[bytes, bytes | None]]
TaskId = tuple[str, int, int]


class Migrations:
    """The migrations of a member's tasks. Belongs to the member's thread.

    A migration goes through all accumulators of one stage in one task, in the order of their keys, over as many transactions
    as it takes: each holds the changelog records of some of them and a note of the last one, so that whoever is killed goes
    on from there. The last one holds the new shape. Until then the task gets no records.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[TaskId, list[_Conversion]] = {}

    def begin(
        self, task: TaskId, plan: Plan, stores: Iterable[tuple[PlannedStore, TopicPartition, bytes]]
    ) -> bool:
        """See to it that the state of a task can be used; whether something is left to do before it begins.

        `stores` are those of the task, with changelog and region. Its state must be here.

        Raises:
            FlowError: a stage cannot use what it has.
        """
        if task not in self._running:
            found = [
                conversion
                for store, changelog, region in stores
                if (conversion := self._conversion(plan, store, changelog, region)) is not None
            ]
            if found:
                self._running[task] = found
        return task in self._running

    def _conversion(
        self, plan: Plan, store: PlannedStore, changelog: TopicPartition, region: bytes
    ) -> "_Conversion | None":
        known = self._value(region + SHAPE)
        under_way = self._value(region + UNDER_WAY)
        if known is None or (known == store.shape and under_way is None):
            return None
        if under_way is not None and under_way["shape"] != store.shape:
            raise FlowError([_refused_midway(plan, store, under_way["shape"])])
        found = migration(plan, store, known)
        if found is None:
            raise FlowError([refused(plan, store, known)])
        after = under_way["after"] if under_way is not None else b""
        logger.warning(
            "flow %s: stage '%s' turns its state in %s into that of the new document: %s",
            plan.name,
            store.stage,
            changelog,
            found.summary,
        )
        return _Conversion(self._store, store, changelog, region, found, after)

    def _value(self, key: bytes) -> Any:
        data = self._store.get(key)
        return None if data is None else decode(data)

    @property
    def is_active(self) -> bool:
        """Whether something is left to do."""
        return bool(self._running)

    @property
    def has_changes(self) -> bool:
        """Whether something is left to commit."""
        return any(one.records() for one in self._all())

    def _all(self) -> Iterator["_Conversion"]:
        for conversions in self._running.values():
            yield from conversions

    def work(self) -> None:
        """Turn some more."""
        budget = BATCH_ENTRIES
        for one in self._all():
            if budget > 0:
                budget -= one.work(budget)

    def records(self) -> Iterator[tuple[TopicPartition, Records]]:
        """What belongs into the transaction, per changelog."""
        for one in self._all():
            records = one.records()
            if records:
                yield one.changelog, records

    def changes(self, changes: Changes) -> None:
        """Add what the commit means for the store."""
        for one in self._all():
            for key, value in one.records():
                expand(one.region, key, value, changes)

    def committed(self) -> None:
        """It is in the store."""
        for one in self._all():
            one.committed()
        self._running = {
            task: conversions
            for task, conversions in self._running.items()
            if not all(one.is_done for one in conversions)
        }

    def abort(self) -> None:
        """Go on from the last commit."""
        for one in self._all():
            one.abort()

    def forget(self, task: TaskId) -> None:
        """The task is another member's now, which goes on from the last commit."""
        self._running.pop(task, None)


class _Conversion:
    """One stage in one task. `_after` is the last entry that was turned, `_turned` those since the last commit."""

    def __init__(
        self,
        store: Store,
        planned: PlannedStore,
        changelog: TopicPartition,
        region: bytes,
        found: Migration,
        after: bytes,
    ) -> None:
        self.changelog = changelog
        self.region = region
        self.is_done = False
        self._store = store
        self._shape = dict(planned.shape)
        self._convert = found.convert
        self._after = self._committed_after = after
        self._is_at_end = False
        self._turned: Records = []

    def work(self, budget: int) -> int:
        """Turn at most so many accumulators; how many there were."""
        if self._is_at_end:
            return 0
        begin = self._after + b"\0" if self._after else ACCUMULATOR
        entries = self._store.range(self.region + begin, self.region + end_of(ACCUMULATOR))
        count = 0
        for found, data in islice(entries, budget):
            self._after = found[len(self.region) :]
            turned = self._convert(decode(data))
            self._turned.append((self._after, encode(turned, expiry_of(data))))
            count += 1
        self._is_at_end = count < budget
        return count

    def records(self) -> Records:
        """What was turned since the last commit, and how far that goes; the new shape when that is all."""
        if self.is_done or not (self._turned or self._is_at_end):
            return []
        if self._is_at_end:
            return [*self._turned, (SHAPE, encode(self._shape, None)), (UNDER_WAY, None)]
        note = {"shape": self._shape, "after": self._after}
        return [*self._turned, (UNDER_WAY, encode(note, None))]

    def committed(self) -> None:
        self._turned = []
        self._committed_after = self._after
        self.is_done = self._is_at_end

    def abort(self) -> None:
        self._turned = []
        self._after = self._committed_after
        self._is_at_end = self.is_done


def refused(plan: Plan, store: PlannedStore, known: Mapping[str, Any]) -> Problem:
    """Why a stage cannot use the state that it has, and what to do."""
    return _problem(
        plan,
        store,
        f"cannot use the state that it has: {difference(known, store.shape)}; go back to the earlier document, or"
        f" {anew(plan, store)}; `headrace plan --against group` shows what changed",
    )


def _refused_midway(plan: Plan, store: PlannedStore, target: Mapping[str, Any]) -> Problem:
    return _problem(
        plan,
        store,
        "cannot use the state that it has: another document was turning it into its own when it was stopped"
        f" ({difference(target, store.shape)}); run that document until it is done, or {anew(plan, store)}",
    )


def _problem(plan: Plan, store: PlannedStore, text: str) -> Problem:
    flow, node = plan.graph.flow, plan.graph.by_name[store.stage]
    place = flow.place("stages", node.index)
    who = f"stage '{store.stage}'" if place else f"flow '{plan.name}': stage '{store.stage}'"
    return Problem(place, f"{who} {text}")
