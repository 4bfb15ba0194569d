"""One tick: what a schedule writes when it is due."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from headrace.connectors.schedule.times import Times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Tick:
    """A due time that fires. `missed` are those before it for which nothing fires."""

    due_ms: int
    missed: int = 0

    @property
    def id(self) -> str:
        """The due time in UTC, the same whenever and wherever it fires."""
        return iso(self.due_ms, UTC)

    def event(self, schedule: str, zone: ZoneInfo) -> dict[str, object]:
        """The event of a tick, as `data` sees it."""
        return {
            "schedule": schedule,
            "due": self.id,
            "due_ms": self.due_ms,
            "local": iso(self.due_ms, zone),
            "missed": self.missed,
        }


def ready_ms(times: Times, name: str, due_ms: int, jitter_ms: int) -> int:
    """When a due time fires: as much later as its name and time say, the same in every process, before the next is due."""
    if not jitter_ms:
        return due_ms
    following = times.after(due_ms)
    room_ms = jitter_ms if following is None else min(jitter_ms, following - due_ms - 1)
    digest = hashlib.blake2b(f"{name} {due_ms}".encode(), digest_size=8).digest()
    return due_ms + int.from_bytes(digest) * (room_ms + 1) // 2**64


def iso(moment_ms: int, zone: tzinfo) -> str:
    """A moment as ISO 8601 writes it, with milliseconds where there are any."""
    moment = (EPOCH + timedelta(milliseconds=moment_ms)).astimezone(zone)
    text = moment.isoformat(timespec="milliseconds" if moment_ms % 1000 else "seconds")
    return text.replace("+00:00", "Z") if zone is UTC else text
