import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.duration import DURATION_PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("5s", timedelta(seconds=5)),
        ("1m30s", timedelta(seconds=90)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("0s", timedelta(0)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
    ],
)
def test_a_duration_is_read_as_it_is_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("value", "lesson"),
    [
        (5, "a duration needs a unit, found 5; did you mean '5s'?"),
        ("5", "a duration needs a unit, found 5; did you mean '5s'?"),
        (True, "a duration must be text"),
        (None, "write it as '500ms', '5s', '1m30s', '2h' or '7d'"),
        ("5 minutes", "'5 minutes' is not a duration"),
        ("30s1m", "'30s1m' is not a duration"),
        ("-5s", "'-5s' is not a duration"),
        ("", "'' is not a duration"),
        ("5s\n", "is not a duration"),
        ("99999999d", "longer than a hundred years"),
        ("0.0001ms", "finer than a microsecond"),
        ("1" * 100 + "s", "is not a duration"),
        (timedelta(seconds=-1), "a duration cannot be negative, found -1 s"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_way_to_write_it(
    value: object, lesson: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(lesson)):
        parse_duration(value)


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        format_duration(timedelta(seconds=-1))


@pytest.mark.parametrize("text", ["500ms", "5s", "1m30s", "2h", "7d", "0s", "1s500ms"])
def test_a_duration_is_written_in_the_largest_units(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_500)))
def test_a_written_duration_reads_back_as_the_same(duration: timedelta) -> None:
    text = format_duration(duration)

    assert parse_duration(text) == duration
    assert re.match(DURATION_PATTERN, text)
