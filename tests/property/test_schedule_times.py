"""Due times against a naive model: looking at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.connectors.schedule.times import Between, Cron, Every, Times, backlog

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"]
CHANGES = [(2026, 3, 8), (2026, 3, 29), (2026, 4, 5), (2026, 9, 6), (2026, 10, 4), (2026, 11, 1)]
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

minutes = st.sets(st.integers(0, 59), min_size=1, max_size=4)
hours = st.sets(st.integers(0, 23), min_size=1, max_size=24)
days = st.sampled_from(CHANGES)
zones = st.sampled_from(ZONES)


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def due_in(times: Times, begin: datetime, end: datetime) -> list[int]:
    """What is due from a moment, included, to another, excluded."""
    found, at = [], ms(begin) - 1
    while (due := times.after(at)) is not None and due < ms(end):
        assert due > at
        found.append(due)
        at = due
    return found


def three_days(day: tuple[int, int, int], zone: str) -> tuple[datetime, datetime]:
    begin = datetime(*day, tzinfo=ZoneInfo(zone)) - timedelta(days=1)
    end = datetime(*day, tzinfo=ZoneInfo(zone)) + timedelta(days=2)
    return begin.astimezone(UTC), end.astimezone(UTC)


@given(minutes, hours, days, zones)
def test_each_time_of_the_clock_on_the_wall_fires_when_it_is_first_reached(
    minute: set[int], hour: set[int], day: tuple[int, int, int], zone: str
) -> None:
    times = Cron(f"{','.join(map(str, minute))} {','.join(map(str, hour))} * * *", ZoneInfo(zone))
    begin, end = three_days(day, zone)
    expected, shown = set(), begin.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - MINUTE
    at = begin
    while at < end:
        wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        while (
            shown < wall
        ):  # every time that the clock shows for the first time now, or has jumped over
            shown += MINUTE
            if shown.minute in minute and shown.hour in hour:
                expected.add(ms(at))
        at += MINUTE

    assert due_in(times, begin, end) == sorted(expected)


@given(minutes, days, zones)
@example({30}, (2026, 4, 5), "Australia/Lord_Howe")  # half an hour comes twice
def test_every_hour_is_each_hour_that_passes(
    minute: set[int], day: tuple[int, int, int], zone: str
) -> None:
    times = Cron(f"{','.join(map(str, minute))} * * * *", ZoneInfo(zone))
    begin, end = three_days(day, zone)
    expected, at = [], begin
    while at < end:
        if at.astimezone(ZoneInfo(zone)).minute in minute:
            expected.append(ms(at))
        at += MINUTE

    assert due_in(times, begin, end) == expected


@given(
    st.integers(1, 50),
    st.integers(0, 100),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 20),
)
def test_a_backlog_is_the_end_of_all_that_was_due(
    period: int, anchor: int, after: int, now: int, keep: int
) -> None:
    times = Between(Every(period, anchor), start_ms=30, end_ms=400)
    every = [
        at
        for at in range(-anchor, 501)
        if (at - anchor) % period == 0 and after < at <= now and 30 <= at <= 400
    ]

    found = backlog(times, after, now, keep)

    assert (list(found.latest), found.many) == (every[-keep:], len(every))
