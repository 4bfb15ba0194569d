"""The shapes of the state in changelogs: what `Tasks` notes with the first commit of a task, read without restoring it."""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.runtime.contracts.broker import Admin, Reader, TopicPartition
from headrace.runtime.errors import BrokerUnavailableError
from headrace.runtime.state.codec import decode
from headrace.runtime.state.layout import META

SHAPE = META + b"shape"
TAIL_RECORDS = 10_000
"""How far before the end the search begins."""
GROWTH = 10
READ_RECORDS = 10_000
READ_TIMEOUT_S = 1.0
QUIET_READS_MAX = 20
"""Reads in a row that may bring nothing before the broker counts as gone."""

Shape = Mapping[str, Any]


def shapes_in(
    reader: Reader, admin: Admin, changelogs: Iterable[TopicPartition]
) -> dict[TopicPartition, Shape]:
    """The newest committed shape of each partition that has one.

    A shape is written once, so it can be anywhere: each search looks at a longer part before the one that was searched, so that
    what was written lately is found at once, and a whole changelog is read only where it must be.

    Raises:
        BrokerUnavailableError: no answer for a while.
    """
    partitions = list(changelogs)
    starts = admin.offsets(partitions, "earliest") if partitions else {}
    ends = admin.offsets(partitions, "latest") if partitions else {}
    found: dict[TopicPartition, Shape] = {}
    size = TAIL_RECORDS
    while True:
        spans = {
            one: (max(starts[one], ends[one] - size), ends[one])
            for one in partitions
            if one not in found and starts[one] < ends[one]
        }
        if not spans:
            return found
        found |= _search(reader, spans)
        for one, (begin, _) in spans.items():
            ends[one] = begin
        size *= GROWTH


def _search(
    reader: Reader, spans: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, Shape]:
    """The last shape in each span of offsets, its end excluded."""
    found: dict[TopicPartition, Shape] = {}
    positions = {one: begin for one, (begin, _) in spans.items()}
    assigned: set[TopicPartition] = set()
    quiet = 0
    while left := {one: at for one, at in positions.items() if at < spans[one][1]}:
        if left.keys() != assigned:
            reader.assign(left)
            assigned = set(left)
        for message in reader.read(READ_RECORDS, READ_TIMEOUT_S):
            one = TopicPartition(message.topic(), message.partition())
            value = message.value()
            if message.key() == SHAPE and value is not None and message.offset() < spans[one][1]:
                found[one] = decode(value)
        now = reader.positions()
        moved = {one: now.get(one, at) for one, at in left.items()}
        quiet = quiet + 1 if moved == left else 0
        if quiet > QUIET_READS_MAX:
            told = ", ".join(map(str, sorted(left)))
            raise BrokerUnavailableError(
                f"nothing came of {told} for {quiet * READ_TIMEOUT_S:.0f} s"
            )
        positions |= moved
    return found
