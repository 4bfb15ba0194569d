"""Where restoring a region begins: at its checkpoint, when the changelog still continues from there, or all anew."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace.runtime.contracts.broker import Admin, TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.state.layout import checkpoint_of
from headrace.runtime.state.replica import Replica

DELETE_RETENTION_MS = 86_400_000
"""Kafka's default of `delete.retention.ms`, for a broker that does not tell."""


class Beginning(NamedTuple):
    """The offset to read first, and the end that has to be reached.

    `reason` says why the region must be cleared before; it is empty where the region can be continued.
    """

    offset: int
    end: int
    reason: str = ""


def beginnings(
    store: Store, admin: Admin, replicas: Iterable[Replica], now_ms: int
) -> dict[TopicPartition, Beginning]:
    """Ask the broker about all of the changelogs at once; the ends are those of this moment."""
    checkpoints = {one.changelog: checkpoint_of(store, one.region) for one in replicas}
    ends = admin.ends(checkpoints)
    starts = admin.offsets(checkpoints, "earliest")
    found: dict[TopicPartition, Beginning] = {}
    away: dict[TopicPartition, int] = {}
    for changelog, offset in checkpoints.items():
        start, end = starts[changelog], ends[changelog]
        found[changelog] = Beginning(start, end)
        if offset is None:
            continue
        if offset > end:
            reason = f"it ends at {end:,}, before the checkpoint {offset:,}: was it created anew?"
            found[changelog] = Beginning(start, end, reason)
        elif offset < start:
            reason = f"it begins at {start:,}, behind the checkpoint {offset:,}"
            found[changelog] = Beginning(start, end, reason)
        else:
            found[changelog] = Beginning(offset, end)
            # The last offset is never compacted: a transaction's end, or a record of the segment being written.
            if offset + 1 < end:
                away[changelog] = offset
    for changelog in _outdated(admin, away, now_ms):
        reason = "the checkpoint is older than the time for which deletions are kept in it (delete.retention.ms)"
        found[changelog] = Beginning(starts[changelog], ends[changelog], reason)
    return found


def _outdated(
    admin: Admin, checkpoints: Mapping[TopicPartition, int], now_ms: int
) -> Sequence[TopicPartition]:
    """Changelogs of which compaction may have removed a tombstone that the region has not seen.

    A tombstone is kept for `delete.retention.ms` at least. Entries deleted by one that is gone would live for ever.
    """
    if not checkpoints:
        return ()
    described = admin.describe({changelog.topic for changelog in checkpoints})
    by_moment: dict[int, list[TopicPartition]] = {}
    for changelog in checkpoints:
        topic = described.get(changelog.topic)
        if topic is None or "compact" not in topic.config.get("cleanup.policy", ""):
            continue
        retention_ms = int(topic.config.get("delete.retention.ms", DELETE_RETENTION_MS))
        by_moment.setdefault(max(0, now_ms - retention_ms), []).append(changelog)
    return [
        changelog
        for moment_ms, changelogs in by_moment.items()
        for changelog, kept in admin.offsets(changelogs, moment_ms).items()
        if checkpoints[changelog] < kept
    ]
