"""What a document says about a schedule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field, StrictInt, field_validator

from headrace.connectors.publish import is_topic_name
from headrace.connectors.schedule.times import Between, Cron, Every, Times
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration, format_duration
from headrace.runtime.expression import Template
from headrace.runtime.flow.suggestion import did_you_mean

PERIOD_MIN = timedelta(seconds=1)
Bounds = Annotated[StrictInt, Field(ge=1, le=10_000)]


class ScheduleConfig(ActionConfig):
    """When, and what becomes of times that were missed or come too soon."""

    cron: str | None = Field(
        None,
        description="five fields (minute, hour, day of month, month, day of week), or six with seconds in front; or @hourly,"
        " @daily, @weekly, @monthly, @yearly",
    )
    every: Duration | None = Field(
        None,
        description="in place of `cron`, a period: counted from `start`, or else from 1970 UTC",
    )
    timezone: str = Field(
        "UTC", description="the time zone of `cron`, and of `start` and `end` where they name none"
    )
    start: datetime | None = Field(None, description="the first moment that may be due")
    end: datetime | None = Field(None, description="the last moment that may be due")
    jitter: Duration = Field(
        timedelta(0),
        description="fire up to so much later than due, by chance, and never later than the next due time",
    )
    misfire: Literal["once", "all", "skip"] = Field(
        "once",
        description="times that were missed while nothing ran: fire once for all of them, fire them all, or let them go",
    )
    misfire_limit: Bounds = Field(
        100, description="with `misfire: all`, the latest so many; what is older is let go"
    )
    tolerance: Duration = Field(
        timedelta(minutes=1), description="with `misfire: skip`, how late is not missed yet"
    )
    overlap: Literal["allow", "skip", "wait"] = Field(
        "allow",
        description="while the flow is not through with the tick before: fire all the same, let this one go, or wait",
    )
    data: Template | None = Field(
        None,
        description="the event, in which `${event.due}` and its like are those of the tick; the tick itself when left out",
    )
    topic: str | None = Field(
        None, description="the topic of the ticks; `<flow>.<stage>` when left out"
    )

    @field_validator("start", "end")
    @classmethod
    def _finite(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.microsecond % 1000:
            raise ValueError("is finer than a millisecond")
        return value

    def problems(self) -> Iterator[str]:
        """What is wrong with it as a whole, in plain words."""
        if (self.cron is None) == (self.every is None):
            yield "needs either 'cron' or 'every'"
        if self.every is not None and self.every < PERIOD_MIN:
            yield f"every: must be at least {format_duration(PERIOD_MIN)}, found {format_duration(self.every)}"
        if self.every is not None and self.jitter >= self.every:
            yield f"jitter: must be shorter than the period of {format_duration(self.every)}"
        if self.topic is not None and not is_topic_name(self.topic):
            yield (
                "topic: a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
                f"; found {self.topic!r}"
            )
        for name in sorted(self.data.reads - {"event"}) if self.data is not None else ():
            yield f"data: mentions '{name}', but a tick has nothing but 'event'"
        yield from self._time_problems()

    def _time_problems(self) -> Iterator[str]:
        try:
            zone = self.zone
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = did_you_mean(self.timezone, sorted(available_timezones()))
            yield (
                f"timezone: '{self.timezone}' is not known here{hint};"
                " names are those of the tz database, such as Europe/Berlin (pip install tzdata brings them)"
            )
            return
        if self.cron is not None:
            try:
                Cron(self.cron, zone)
            except ValueError as error:
                yield f"cron: {error}"
        start_ms, end_ms = self._moment_ms(self.start), self._moment_ms(self.end)
        if start_ms is not None and end_ms is not None and end_ms < start_ms:
            yield "end: lies before 'start'"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone.

        Raises:
            ValueError: there is none of this name.
        """
        return ZoneInfo(self.timezone)

    def times(self) -> Times:
        """The due times. The config has no problems."""
        start_ms, end_ms = self._moment_ms(self.start), self._moment_ms(self.end)
        times: Times
        if self.every is not None:
            times = Every(self.every // timedelta(milliseconds=1), start_ms or 0)
        else:
            assert self.cron is not None
            times = Cron(self.cron, self.zone)
        return Between(times, start_ms, end_ms)

    def _moment_ms(self, moment: datetime | None) -> int | None:
        if moment is None:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        return (aware.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
            milliseconds=1
        )
