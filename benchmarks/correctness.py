"""Whether a contender has done its work: what it committed and what it wrote belong together."""

from collections.abc import Iterable
from math import isclose

from confluent_kafka import Message
from orjson import loads

from benchmarks.contender import Contender, ContenderError, Result
from benchmarks.input_topic import Input
from benchmarks.topics import positions_of, records_of

LOOKED_AT = 100
"""One record of so many is looked at closely; all are counted."""


def check(brokers: str, contender: Contender, result: Result, source: Input, target: str) -> int:
    """How many records came out.

    The positions that the contender committed say which records went in, and so how many must have come out,
    whatever the order in which it read the partitions and wherever it stopped.

    Raises:
        ContenderError: records are missing, doubled or wrong, or the positions are not those of what it read.
    """
    positions = positions_of(brokers, result.group, source.topic)
    if sum(positions.values()) != result.records:
        raise ContenderError(
            f"{contender.name} says that it read {result.records} records, "
            f"but the positions of group '{result.group}' say {sum(positions.values())}"
        )
    expected = source.kept_before(positions)
    found = count(records_of(brokers, target), contender.name)
    if found != expected:
        raise ContenderError(f"{contender.name} wrote {found} records, expected {expected}")
    return found


def count(messages: Iterable[Message], contender: str) -> int:
    """Count records, and see that a part of them is what was asked for."""
    counted = 0
    for message in messages:
        counted += 1
        if counted % LOOKED_AT == 1:
            event = loads(message.value() or b"null")
            is_right = (
                message.key() == event["user"].encode()
                and event["kind"] != "view"
                and isclose(event["total"], event["amount"] * 1.2)
            )
            if not is_right:
                raise ContenderError(
                    f"{contender} wrote a wrong record at {message.partition()}@{message.offset()}"
                )
    return counted
