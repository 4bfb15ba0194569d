"""How far restoring has come, as figures and as lines of the log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.state.replica import Restoration

LINES_MAX = 4


@dataclass(frozen=True, kw_only=True)
class RestoreProgress:
    """How far one replica is.

    Records are counted in offsets: what compaction removed and where transactions end counts too, so that the sum is right.
    """

    changelog: TopicPartition
    store: str
    is_standby: bool
    restored: int
    to_restore: int
    """How many records this restoration had before it when it began; for a standby those that came since count too."""
    per_s: float
    """Over the last five to ten seconds."""

    @property
    def lag(self) -> int:
        """Records that are missing; for a standby as of the last time its end was asked for."""
        return self.to_restore - self.restored

    @property
    def left_s(self) -> float | None:
        """When it will be complete; None as long as nobody can tell."""
        if self.lag == 0:
            return 0.0
        return self.lag / self.per_s if self.per_s else None


def progress_of(one: Restoration, now_s: float) -> RestoreProgress:
    """A restoration's figures; may be asked for from any thread."""
    position = one.start if one.position is None else one.position
    return RestoreProgress(
        changelog=one.changelog,
        store=one.replica.store,
        is_standby=one.is_standby,
        restored=position - one.start,
        to_restore=max(one.end, position) - one.start,
        per_s=one.pace.per_s(now_s, position),
    )


def lines_of(progress: Sequence[RestoreProgress]) -> list[str]:
    """Lines for the log: one per replica, or one for all of them when they are many."""
    if len(progress) > LINES_MAX:
        return [f"restoring {len(progress):,} partitions: {_figures(progress)}"]
    return [
        f"restoring {one.store}[{one.changelog.partition}]: {_figures([one])}" for one in progress
    ]


def _figures(progress: Iterable[RestoreProgress]) -> str:
    restored = to_restore = 0
    per_s = 0.0
    for one in progress:
        restored += one.restored
        to_restore += one.to_restore
        per_s += one.per_s
    percent = 100 * restored // to_restore if to_restore else 100
    text = f"{restored:,} of {to_restore:,} records ({percent} %)"
    if per_s:
        text += f", {_rate(per_s)}, {(to_restore - restored) / per_s:,.0f} s left"
    elif restored < to_restore:
        text += ", nothing comes: waiting for a broker, or for a transaction to end"
    return text


def _rate(per_s: float) -> str:
    return f"{per_s / 1000:,.0f} k/s" if per_s >= 10_000 else f"{per_s:,.0f}/s"
