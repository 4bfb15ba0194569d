"""Windows computed over all records of one key at once, in the order in which they came."""

from typing import NamedTuple


class Record(NamedTuple):
    """A record's event time and value; `watermark` is what it was when the record came, itself included."""

    time: int
    value: int
    watermark: int


Result = tuple[int, int, list[int]]
"""Start, end, and the values in the order of event time."""


def records_of(pairs: list[tuple[int, int]]) -> list[Record]:
    """Records of one partition, in order of arrival."""
    found: list[Record] = []
    for time, value in pairs:
        found.append(Record(time, value, max(time, found[-1].watermark if found else -1)))
    return found


def values_in_time(records: list[Record]) -> list[int]:
    return [one.value for one in sorted(records, key=lambda one: one.time)]


def sliding(records: list[Record], size: int, grace: int) -> tuple[list[Result], list[int]]:
    """The final results of sliding windows, and the values of late records."""
    taken = [one for one in records if one.time + 1 + grace > one.watermark]
    late = [one.value for one in records if one.time + 1 + grace <= one.watermark]
    results = [
        (end - size, end, values_in_time([one for one in taken if end - size < one.time <= end]))
        for end in sorted({one.time for one in taken})
    ]
    return results, late


def sessions(records: list[Record], gap: int, grace: int) -> tuple[list[Result], list[int]]:
    """The final results of sessions, and the values of late records."""
    open_ones: list[list[Record]] = []
    closed: list[list[Record]] = []
    late: list[int] = []
    for record in records:
        over = [one for one in open_ones if _end(one) + gap + grace + 1 <= record.watermark]
        closed += over
        open_ones = [one for one in open_ones if one not in over]
        near = [
            one
            for one in open_ones
            if min(other.time for other in one) - gap <= record.time <= _end(one) + gap
        ]
        if not near and record.time + gap + grace + 1 <= record.watermark:
            late.append(record.value)
            continue
        near.sort(key=lambda one: min(other.time for other in one))
        open_ones = [one for one in open_ones if one not in near]
        open_ones.append([other for one in near for other in one] + [record])
    results = [
        (min(one.time for one in session), _end(session), values_in_time(session))
        for session in closed + open_ones
    ]
    return results, late


def _end(session: list[Record]) -> int:
    return max(one.time for one in session)
