"""What a worker tells of itself: its stages and tasks, and whether it is well."""

from collections.abc import Iterable
from typing import Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import ClosedError, StoreCorruptError
from headrace.runtime.http.peers import Peers
from headrace.runtime.http.problems import ProblemError
from headrace.runtime.http.stages import Stage
from headrace.runtime.http.stored import Stored
from headrace.runtime.state.layout import NUMBER, checkpoint_of, region_of
from headrace.runtime.state.progress import RestoreProgress
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.worker import Worker

Restores = dict[TopicPartition, RestoreProgress]


def overview(worker: Worker, stages: Iterable[Stage], peers: Peers, clock: Clock) -> dict[str, Any]:
    """All that `GET /state` tells. May wait for the broker."""
    stages = list(stages)
    return {
        "worker": worker.http_address,
        "groups": [_group(member, peers) for member in worker.members],
        "stages": [_stage(stage, clock) for stage in stages],
        "calls": [one for member in worker.members for one in _calls(member)],
        "feeds": _feeds(worker),
    }


def _calls(member: Member) -> list[dict[str, Any]]:
    """What the stages have called."""
    return [
        {
            "flow": flow,
            "stage": stage,
            "calls": done.calls,
            "failures": done.failures,
            "retries": done.retries,
            "in_flight": done.in_flight,
            "circuits": dict(done.circuits),
        }
        for (flow, stage), done in member.calls.items()
    ]


def _feeds(worker: Worker) -> list[dict[str, Any]]:
    """How the triggers' feeds are that run here."""
    statuses = worker.feeds.statuses if worker.feeds is not None else {}
    return [
        {
            "flow": flow,
            "stage": stage,
            "state": status.state,
            "text": status.text,
            "figures": dict(status.figures),
        }
        for (flow, stage), status in statuses.items()
    ]


def _group(member: Member, peers: Peers) -> dict[str, Any]:
    workers: list[dict[str, Any]] | None
    try:
        workers = [
            {
                "name": peer.name,
                "address": None if peer.address is None else str(peer.address),
                "partitions": sorted(map(str, peer.member.assignment)),
            }
            for peer in peers.of(member.group)
        ]
    except ProblemError:
        workers = None  # the broker does not tell now; what this worker knows it tells all the same
    return {
        "group": member.group,
        "member": member.name,
        "store_bytes": size_of(member.store),
        "workers": workers,
    }


def size_of(store: Store | None) -> int | None:
    """About what a store occupies; None while it is not open."""
    try:
        return None if store is None else store.size_bytes
    except (ClosedError, StoreCorruptError):
        return None


def _stage(stage: Stage, clock: Clock) -> dict[str, Any]:
    restores = restores_of(stage.member)
    waiting = set(stage.waiting)
    held = {
        one.partition: progress
        for one, progress in restores.items()
        if one.topic == stage.planned.changelog
    }
    return {
        "flow": stage.flow,
        "stage": stage.name,
        "keeps": stage.planned.text,
        "changelog": stage.planned.changelog,
        "partitions": stage.count,
        "tasks": [
            _task(stage, number, held.get(number), clock, is_waiting=number in waiting)
            for number in sorted({*stage.ready, *waiting, *held})
        ],
    }


def restores_of(member: Member) -> Restores:
    """What is being restored or followed, by changelog."""
    return {one.changelog: one for one in member.restores()}


def _task(
    stage: Stage, number: int, progress: RestoreProgress | None, clock: Clock, *, is_waiting: bool
) -> dict[str, Any]:
    is_standby = progress is not None and progress.is_standby
    state = "restoring" if is_waiting else "standby" if is_standby else "ready"
    told: dict[str, Any] = {"partition": number, "state": state, **_stored(stage, number, clock)}
    if progress is not None:
        told["restore"] = {
            "restored": progress.restored,
            "to_restore": progress.to_restore,
            "per_s": round(progress.per_s, 1),
            "left_s": None if progress.left_s is None else round(progress.left_s, 1),
            "lag": progress.lag,
        }
    return told


def _stored(stage: Stage, number: int, clock: Clock) -> dict[str, Any]:
    """What the store says of a task; nothing while it is closed."""
    store = stage.member.store
    try:
        if store is None:
            return {}
        known = store.get(NUMBER + stage.planned.changelog.encode())
        if known is None:
            return {"checkpoint": None, "watermark": None}
        watermark = watermark_of(stage, number, clock)
        return {
            "checkpoint": checkpoint_of(store, region_of(int.from_bytes(known), number)),
            "watermark": watermark,
        }
    except (ClosedError, StoreCorruptError):
        return {}


def watermark_of(stage: Stage, number: int, clock: Clock) -> int | None:
    """How far event time has come in a task, as of its last commit; None before its first record.

    Raises:
        ClosedError: the store was closed.
        StoreCorruptError: the store is damaged.
    """
    store = stage.member.store
    if store is None:
        return None
    stored = Stored(
        store,
        stage.planned.changelog,
        number,
        action=stage.action,
        fold=stage.fold,
        now_ms=clock.now_ms(),
    )
    return stored.watermark_ms if stored.watermark_ms >= 0 else None


def health(worker: Worker) -> dict[str, bool]:
    """Whether the worker lives, and whether it processes records of all its tasks."""
    members = worker.members
    is_live = not worker.has_failed
    is_ready = (
        is_live
        and bool(members)
        and not worker.is_stopping
        and all(one.is_ready.is_set() and not one.standing.waiting for one in members)
    )
    return {"live": is_live, "ready": is_ready}
