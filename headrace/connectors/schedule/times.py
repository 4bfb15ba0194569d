"""When a schedule is due. Pure: the same due times for the same question, always."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
COUNTED_MAX: Final = 10_000
"""So many due times are counted one by one; of more, only the latest are looked for."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class Times(Protocol):
    """The due times of a schedule, in ms since 1970 UTC."""

    @property
    def text(self) -> str:
        """What tells these times from others."""

    def after(self, moment_ms: int) -> int | None:
        """The first due time after a moment; None when there is none any more."""


@dataclass(frozen=True)
class Every:
    """Times that lie `period_ms` apart, counted from `anchor_ms`."""

    period_ms: int
    anchor_ms: int = 0

    @property
    def text(self) -> str:
        return f"every {self.period_ms} ms from {self.anchor_ms}"

    def after(self, moment_ms: int) -> int:
        return moment_ms + self.period_ms - (moment_ms - self.anchor_ms) % self.period_ms


class Cron:
    """The times of a cron expression in a time zone.

    Where the hour is `*`, the schedule goes by elapsed time: an hour that the clock shows twice has its times twice. All
    others go by the clock on the wall: a time that is there twice counts when it comes first, and one that is left out counts
    as the first moment after the gap.

    Raises:
        ValueError: the expression is none, or there is no such time.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = NICKNAMES.get(expression.strip().lower(), expression)
        self._zone = zone
        fields = self._expression.split()
        if len(fields) not in (5, 6):
            raise ValueError(
                "needs five fields (minute, hour, day of month, month, day of week), or six with seconds in front,"
                f" found {len(fields)}"
            )
        self._is_elapsed = fields[-4] == "*"
        try:
            simulation = CronSim(self._expression, _EPOCH.replace(tzinfo=None))
        except (CronSimError, ValueError) as error:
            field = str(error).removeprefix("Bad ")
            raise ValueError(
                f"the field for the {field} is wrong in '{expression}'; there are numbers, names (MON, JAN), ranges (1-5), lists"
                " (1,15), steps (*/10), L (last) and LW (last working day) for days of the month, MON#2 (second Monday) and 5L"
                " (last Friday) for days of the week"
            ) from error
        if next(simulation, None) is None:
            raise ValueError(f"'{expression}' names a day that never comes")

    @property
    def text(self) -> str:
        return f"cron {self._expression} {self._zone.key}"

    def after(self, moment_ms: int) -> int | None:
        if self._is_elapsed:
            return self._after_elapsed(moment_ms)
        moment = (_EPOCH + moment_ms * _MS).astimezone(self._zone)
        # The naive simulation begins before the moment in a doubled hour, so that earlier times are passed over.
        for naive in CronSim(self._expression, moment.replace(tzinfo=None, fold=0)):
            due_ms = self._moment_ms(naive)
            if due_ms > moment_ms:
                return due_ms
        return None

    def _after_elapsed(self, moment_ms: int) -> int | None:
        """The first due time after a moment, looked for with one offset of the zone after the other."""
        since_ms, offset = moment_ms, self._offset(moment_ms)  # from then on it counts
        while True:
            naive = _EPOCH.replace(tzinfo=None) + moment_ms * _MS + offset
            found = next(CronSim(self._expression, naive), None)
            if found is None:
                return None
            due_ms = _ms(found.replace(tzinfo=UTC) - offset)
            if self._offset(due_ms) == offset:
                return due_ms
            since_ms = self._change_ms(since_ms, due_ms)
            moment_ms, offset = since_ms - 1, self._offset(since_ms)

    def _change_ms(self, before_ms: int, after_ms: int) -> int:
        """The first moment with another offset, between two whose offsets differ."""
        offset = self._offset(before_ms)
        while after_ms - before_ms > 1:
            middle_ms = (before_ms + after_ms) // 2
            if self._offset(middle_ms) == offset:
                before_ms = middle_ms
            else:
                after_ms = middle_ms
        return after_ms

    def _moment_ms(self, naive: datetime) -> int:
        """When the clock on the wall first shows this time, or jumps over it."""
        aware = naive.replace(tzinfo=self._zone)
        instant = aware.astimezone(UTC)
        if instant.astimezone(self._zone).replace(tzinfo=None) == naive:
            return _ms(instant)
        # In a gap, fold=0 counts with the offset before it and lands behind it; fold=1 lands in front of it.
        return self._change_ms(_ms(aware.replace(fold=1)), _ms(instant))

    def _offset(self, moment_ms: int) -> timedelta:
        return (_EPOCH + moment_ms * _MS).astimezone(self._zone).utcoffset() or timedelta()


@dataclass(frozen=True)
class Between:
    """The times of another schedule from `start_ms` to `end_ms`, both included; None is no bound."""

    times: Times
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def text(self) -> str:
        return self.times.text

    def after(self, moment_ms: int) -> int | None:
        if self.start_ms is not None:
            moment_ms = max(moment_ms, self.start_ms - 1)
        found = self.times.after(moment_ms)
        if found is None or (self.end_ms is not None and found > self.end_ms):
            return None
        return found


@dataclass(frozen=True)
class Backlog:
    """The due times between two moments: the `latest` of them, and how `many` there are, counted up to COUNTED_MAX."""

    latest: tuple[int, ...]
    many: int


def backlog(times: Times, after_ms: int, now_ms: int, keep: int) -> Backlog:
    """What was due after a moment and is now, of which the latest `keep` are told.

    A month of seconds costs no more than some thousand steps: what is too much to count is looked for from its end.
    """
    found = list(_first(times, after_ms, now_ms, COUNTED_MAX + 1))
    if len(found) <= COUNTED_MAX:
        return Backlog(tuple(found[-keep:]), len(found))
    window_ms = 60_000
    while True:
        begin_ms = max(after_ms, now_ms - window_ms)
        found = list(_first(times, begin_ms, now_ms, None))
        if len(found) >= keep or begin_ms == after_ms:
            return Backlog(tuple(found[-keep:]), COUNTED_MAX)
        window_ms *= 2


def _first(times: Times, after_ms: int, now_ms: int, count: int | None) -> Iterator[int]:
    due_ms = times.after(after_ms)
    while due_ms is not None and due_ms <= now_ms and count != 0:
        yield due_ms
        count = None if count is None else count - 1
        due_ms = times.after(due_ms)


def _ms(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MS
