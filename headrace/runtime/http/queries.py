"""Answers questions about state: from the store of this worker where it has the task, and from other workers where they do."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, TypeVar

from headrace.runtime.clock import Clock
from headrace.runtime.errors import ClosedError, StoreCorruptError
from headrace.runtime.flow.suggestion import did_you_mean
from headrace.runtime.http.client import Answer
from headrace.runtime.http.keys import Encoding, key_fields, plain
from headrace.runtime.http.pages import Page, Span, merged, page_of, read_page
from headrace.runtime.http.peers import ALL, Peer, Peers
from headrace.runtime.http.problems import ProblemError
from headrace.runtime.http.stages import Stage, is_called, stages_of
from headrace.runtime.http.stored import Stored, TooWideError, Wanted
from headrace.runtime.partitioning import partition_of
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.worker import Worker

Result = TypeVar("Result")
PAGE_S = 5.0
"""How long reading may take; what was not reached is the next page."""


@dataclass(frozen=True)
class Request:
    """A question as it came in. `hop` is set where another worker passed it on; `target` is its path and query."""

    target: str
    encoding: Encoding = "text"
    hop: str | None = None
    is_partial: bool = False
    wanted: Wanted = field(default_factory=Wanted)


class Queries:
    """Looks into state. Thread-safe; every call may wait."""

    def __init__(self, worker: Worker, peers: Peers, clock: Clock) -> None:
        self._worker = worker
        self._peers = peers
        self._clock = clock
        self._known: tuple[tuple[Member, ...], list[Stage]] = ((), [])

    def stages(self) -> list[Stage]:
        """The stages that this worker runs; none before it has read its flows."""
        members = self._worker.members
        if self._known[0] != members:
            self._known = (members, stages_of(members))
        return self._known[1]

    def stage(self, flow: str, name: str) -> Stage:
        """The stage of these names.

        Raises:
            ProblemError: there is none that keeps state.
        """
        stages = self.stages()
        of_flow = [one for one in stages if is_called(one.flow, flow)]
        for one in of_flow:
            if is_called(one.name, name):
                return one
        if not self._worker.members:
            raise _not_yet("the worker is starting")
        if not of_flow:
            hint = did_you_mean(flow, {one.flow for one in stages})
            detail = f"this worker runs no flow '{flow}' that keeps state{hint}"
        else:
            hint = did_you_mean(name, {one.name for one in of_flow})
            detail = f"flow '{flow}' has no stage '{name}' that keeps state{hint}"
        raise ProblemError(HTTPStatus.NOT_FOUND, detail)

    # ---- one key

    def key(self, stage: Stage, key: bytes, request: Request) -> dict[str, Any] | Answer:
        """What is stored under a key.

        Raises:
            ProblemError: there is nothing, or nobody can tell now.
        """
        if request.hop is not None:
            return self._key_here(stage, key, request, _partitions(stage, request.hop))
        computed = partition_of(key, stage.count)
        found = self._key_anywhere(stage, key, request, computed)
        if found is None and not stage.is_placed:
            found = self._key_everywhere(stage, key, request, computed)
        if found is None:
            raise _nothing(stage)
        return found

    def _key_here(
        self, stage: Stage, key: bytes, request: Request, partitions: Iterable[int]
    ) -> dict[str, Any]:
        for partition in partitions:
            found = self._local_key(stage, key, request, partition)
            if found is not None:
                return found
        raise _nothing(stage)

    def _key_anywhere(
        self, stage: Stage, key: bytes, request: Request, partition: int
    ) -> dict[str, Any] | Answer | None:
        """The answer of whoever has the key's partition; None where there is nothing under it."""
        if partition in stage.ready:
            return self._local_key(stage, key, request, partition)
        answer = self._asked_owner(stage, request, partition)
        return None if answer.status == HTTPStatus.NOT_FOUND else answer

    def _asked_owner(self, stage: Stage, request: Request, partition: int) -> Answer:
        if partition in stage.waiting:
            raise _restoring(stage, partition)
        for is_fresh in (False, True):  # the group may have changed since it was looked at
            peers = self._peers.of(stage.member.group, is_fresh=is_fresh)
            owner = next((one for one in peers if partition in stage.held_by(one.member)), None)
            if owner is None or self._peers.is_own(owner):
                continue
            try:
                answer = self._peers.ask(owner, request.target, str(partition))
            except ProblemError:
                if is_fresh:
                    raise
                continue
            if is_fresh or answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer
        raise _not_yet(
            f"partition {partition} of stage '{stage.name}' is between two workers, or nobody has it"
        )

    def _key_everywhere(
        self, stage: Stage, key: bytes, request: Request, computed: int
    ) -> dict[str, Any] | Answer | None:
        """Look in all partitions: who filled the source may have put the key elsewhere than its hash says."""
        for partition in stage.ready:
            if partition != computed:
                found = self._local_key(stage, key, request, partition)
                if found is not None:
                    return found
        missing = set(range(stage.count)) - {computed, *stage.ready}
        failure: ProblemError | None = None
        for peer in self._others(stage):
            held = missing.intersection(stage.held_by(peer.member))
            if not held:
                continue
            try:
                answer = self._peers.ask(peer, request.target, ALL)
            except ProblemError as error:
                failure = error
                continue
            if answer.status == HTTPStatus.OK:
                return answer
            if answer.status == HTTPStatus.NOT_FOUND:
                missing -= held
        if failure is not None:
            raise failure
        if missing:
            raise _restoring(stage, min(missing))
        return None

    def _local_key(
        self, stage: Stage, key: bytes, request: Request, partition: int
    ) -> dict[str, Any] | None:
        wanted = self._timed(request.wanted)
        found = self._read(stage, partition, lambda stored: (stored.get(key, wanted), stored))
        if found[0] is None:
            return None
        document: dict[str, Any] = {
            "flow": stage.flow,
            "stage": stage.name,
            **key_fields(key, request.encoding),
            "partition": partition,
            "watermark": found[1].watermark_ms if found[1].watermark_ms >= 0 else None,
            "entries": plain(found[0].entries),
        }
        if found[0].following is not None:
            document["next"] = found[0].following
        return document

    # ---- many keys

    def keys(self, stage: Stage, span: Span, request: Request) -> dict[str, Any]:
        """A page of keys.

        Raises:
            ProblemError: some partition cannot be read now, and a part of them is not enough.
        """
        hop = request.hop
        partitions = stage.ready if hop is None else _partitions(stage, hop)
        wanted = self._timed(request.wanted)

        def look(partition: int) -> Page:
            return self._read(
                stage,
                partition,
                lambda stored: read_page(stored, partition, span, wanted, request.encoding),
            )

        pages = [look(partition) for partition in partitions]
        missing: list[int] = []
        if hop is None:
            others, missing = self._other_pages(stage, request, set(partitions))
            pages += others
        page = merged(pages, span.limit)
        document = {"flow": stage.flow, "stage": stage.name, **page.document()}
        if missing:
            document["missing"] = missing
        return document

    def _other_pages(
        self, stage: Stage, request: Request, here: set[int]
    ) -> tuple[list[Page], list[int]]:
        """The pages of other workers, and the partitions that nobody told of."""
        missing = set(range(stage.count)) - here
        pages: list[Page] = []
        failure: ProblemError | None = None
        for peer in self._others(stage) if missing else ():
            if not missing.intersection(stage.held_by(peer.member)):
                continue
            try:
                answer = self._peers.ask(peer, request.target, ALL)
            except ProblemError as error:
                failure = error
                continue
            if answer.status == HTTPStatus.OK:
                page = page_of(json.loads(answer.body)).only(missing)
                missing -= set(page.partitions)
                pages.append(page)
            elif answer.status == HTTPStatus.BAD_REQUEST:
                detail = json.loads(answer.body).get("detail", "")
                raise ProblemError(HTTPStatus.BAD_REQUEST, detail)
        if missing and not request.is_partial:
            raise failure or _restoring(stage, min(missing))
        return pages, sorted(missing)

    def _others(self, stage: Stage) -> list[Peer]:
        return [one for one in self._peers.of(stage.member.group) if not self._peers.is_own(one)]

    # ---- the store

    def _read(self, stage: Stage, partition: int, look: Callable[[Stored], Result]) -> Result:
        """Look into one task's state, which must be here before and after."""
        store = stage.member.store
        if store is None or partition not in stage.ready:
            raise _restoring(stage, partition)
        try:
            stored = Stored(
                store,
                stage.planned.changelog,
                partition,
                action=stage.action,
                fold=stage.fold,
                now_ms=self._clock.now_ms(),
            )
            result = look(stored)
        except ClosedError as error:
            raise _not_yet("the worker is closing its store") from error
        except StoreCorruptError as error:
            raise _not_yet(
                "the store is damaged, and is restored when it is written next"
            ) from error
        except TooWideError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from error
        if partition not in stage.ready:
            raise _restoring(stage, partition)
        return result

    def _timed(self, wanted: Wanted) -> Wanted:
        end_s = self._clock.monotonic_s() + PAGE_S
        return replace(wanted, is_over=lambda: self._clock.monotonic_s() >= end_s)


def _partitions(stage: Stage, hop: str) -> list[int]:
    """The partitions that another worker asks about."""
    if hop == ALL:
        return stage.ready
    if not hop.isdecimal() or int(hop) >= stage.count:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "the workers have different partition counts; start them anew"
        )
    return [int(hop)]


def _nothing(stage: Stage) -> ProblemError:
    return ProblemError(
        HTTPStatus.NOT_FOUND, f"nothing is stored under this key in stage '{stage.name}'"
    )


def _not_yet(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=1)


def _restoring(stage: Stage, partition: int) -> ProblemError:
    return _not_yet(
        f"partition {partition} of stage '{stage.name}' is being restored, or is on its way to another worker"
    )
