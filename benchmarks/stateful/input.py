"""The topics that the works read."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from orjson import dumps

from benchmarks.input_topic import FIRST_MS, USERS, events, write
from benchmarks.topics import create

Event = dict[str, Any]
TABLE = "benchmark-users"
COUNTRIES = ("DE", "FR", "IN", "JP", "US")


def shop_events(count: int) -> Iterator[Event]:
    """The events of the stateless benchmark."""
    return cast("Iterator[Event]", events(count))


def key_events(keys: Iterable[int], time_ms: int = FIRST_MS) -> Iterator[Event]:
    """One small event per key that passes the filter, a millisecond apart."""
    for i, key in enumerate(keys):
        yield {"user": f"user-{key}", "kind": "buy", "amount": key % 100 + 0.5, "time": time_ms + i}


def profile_of(user: str) -> dict[str, object]:
    """The row of a user in the table."""
    number = int(user.removeprefix("user-"))
    return {
        "name": f"Customer {number}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "since": FIRST_MS - number * 1_000,
        "premium": number % 7 == 0,
    }


def fill_events(brokers: str, topic: str, source: Iterable[Event], key: str) -> None:
    """Create a topic with these events, keyed by one of their fields."""
    create(brokers, topic)
    append(brokers, topic, source, key)


def append(brokers: str, topic: str, source: Iterable[Event], key: str = "user") -> None:
    """Write events to a topic that is there."""
    write(brokers, topic, ((dumps(event), str(event[key]), event["time"]) for event in source))


def fill_table(brokers: str) -> None:
    """Create the table of users, whose rows are older than every event."""
    create(brokers, TABLE, is_compacted=True)
    users = [f"user-{number}" for number in range(USERS)]
    write(brokers, TABLE, ((dumps(profile_of(user)), user, FIRST_MS - 1) for user in users))
