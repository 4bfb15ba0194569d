"""When schedules are due."""

from zoneinfo import ZoneInfo

import pytest

from headrace.connectors.schedule.tick import iso, ready_ms
from headrace.connectors.schedule.times import COUNTED_MAX, Between, Cron, Every, Times, backlog
from tests.unit.connectors.schedule.place import ms

BERLIN = ZoneInfo("Europe/Berlin")


def due(times: Times, after: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    moment_ms, found = ms(after), []
    for _ in range(count):
        following = times.after(moment_ms)
        assert following is not None
        assert following > moment_ms
        found.append(iso(following, zone)[5:16])
        moment_ms = following
    return found


def test_five_fields_are_minutes() -> None:
    assert due(Cron("30 7 * * MON-FRI", BERLIN), "2026-01-30T07:00:00+01:00", 3) == [
        "01-30T07:30",
        "02-02T07:30",
        "02-03T07:30",
    ]


def test_six_fields_begin_with_seconds() -> None:
    times = Cron("*/20 0 12 * * *", ZoneInfo("UTC"))

    found = times.after(ms("2026-01-31T12:00:05Z"))

    assert found == ms("2026-01-31T12:00:20Z")


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 0 L * *", "01-31T00:00"),
        ("0 0 LW * *", "01-30T00:00"),
        ("0 0 * * MON#2", "01-12T00:00"),
        ("0 0 * * 5L", "01-30T00:00"),
        ("@monthly", "02-01T00:00"),
        ("0 9 1,15 JAN *", "01-15T09:00"),
    ],
)
def test_days_may_be_named_by_their_place_in_the_month(expression: str, first: str) -> None:
    assert due(Cron(expression, BERLIN), "2026-01-02T00:00:00+01:00", 1) == [first]


def test_a_time_that_does_not_exist_fires_once_when_the_gap_is_over() -> None:
    found = due(Cron("0,30 2 * * *", BERLIN), "2026-03-28T12:00:00+01:00", 3)

    assert found == ["03-29T03:00", "03-30T02:00", "03-30T02:30"]


def test_a_time_that_does_not_exist_fires_once_with_seconds_too() -> None:
    found = due(Cron("15 30 2 * * *", BERLIN), "2026-03-28T12:00:00+01:00", 2)

    assert found == ["03-29T03:00", "03-30T02:30"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/30 2 * * *", "0 30 2 * * *"])
def test_a_time_that_is_there_twice_fires_once(expression: str) -> None:
    times = Cron(expression, BERLIN)
    moment_ms, found = ms("2026-10-24T12:00:00+02:00"), []
    while (following := times.after(moment_ms)) and following < ms("2026-10-25T12:00:00+01:00"):
        found.append(iso(following, BERLIN))
        moment_ms = following

    assert found[-1] == "2026-10-25T02:30:00+02:00"
    assert all(text.endswith("+02:00") for text in found)


def test_from_within_the_second_of_two_hours_a_time_of_the_first_is_over() -> None:
    found = Cron("30 2 * * *", BERLIN).after(ms("2026-10-25T02:10:00+01:00"))

    assert found == ms("2026-10-26T02:30:00+01:00")


def test_every_hour_is_every_hour_that_passes() -> None:
    times = Cron("0 * * * *", BERLIN)
    moment_ms = ms("2026-10-25T00:30:00+02:00")
    for _ in range(5):
        moment_ms = times.after(moment_ms) or 0

    assert moment_ms == ms("2026-10-25T00:00:00+02:00") + 5 * 3_600_000


def test_a_period_is_aligned_to_1970_or_to_its_anchor() -> None:
    assert due(Every(600_000), "2026-01-31T12:03:00Z", 2, ZoneInfo("UTC")) == [
        "01-31T12:10",
        "01-31T12:20",
    ]
    anchored = Every(600_000, ms("2026-01-31T11:05:00Z"))
    assert due(anchored, "2026-01-31T12:05:00Z", 1, ZoneInfo("UTC")) == ["01-31T12:15"]


def test_nothing_is_due_before_the_start_and_behind_the_end() -> None:
    times = Between(Every(10), 100, 120)

    found = [times.after(at) for at in (0, 100, 110, 120)]

    assert found == [100, 110, 120, None]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * *", "five fields"),
        ("61 * * * *", "field for the minute"),
        ("0 0 * * FOO", "field for the day-of-week"),
        ("0 0 31 2 *", "day-of-month"),
        ("0 0 15W * *", "LW \\(last working day\\)"),
    ],
)
def test_what_is_no_cron_expression_is_told_with_what_there_is(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Cron(expression, BERLIN)


def test_a_backlog_tells_its_latest_times_and_how_many_there_were() -> None:
    found = backlog(Every(1_000), 0, 10_500, 3)

    assert (found.latest, found.many) == ((8_000, 9_000, 10_000), 10)


def test_of_a_long_backlog_only_the_end_is_looked_at() -> None:
    now_ms = 365 * 86_400_000

    found = backlog(Every(1_000), 0, now_ms, 100)

    assert found.many == COUNTED_MAX
    assert found.latest == tuple(range(now_ms - 99_000, now_ms + 1, 1_000))


def test_jitter_is_the_same_everywhere_and_never_reaches_the_next_time() -> None:
    times = Every(10_000)
    found = [ready_ms(times, "a", at, 60_000) - at for at in range(0, 1_000_000, 10_000)]

    assert found == [ready_ms(times, "a", at, 60_000) - at for at in range(0, 1_000_000, 10_000)]
    assert len(set(found)) > 50
    assert 0 <= min(found) <= max(found) < 10_000
