"""Which dead letters are dealt with: a compacted topic beside theirs, since Kafka deletes no single record."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from headrace.runtime.contracts.broker import Admin, NewTopic, Producer

How = Literal["replayed", "purged", "edited"]
CONFIG = {"cleanup.policy": "compact", "retention.ms": "-1", "min.cleanable.dirty.ratio": "0.1"}


def ledger_topic(dead_letter_topic: str) -> str:
    """The topic that tells what became of the letters of another."""
    return f"{dead_letter_topic}.done"


@dataclass(frozen=True)
class Done:
    """What became of a letter, and when."""

    how: How
    at_ms: int


class Ledger:
    """Writes into the transaction of who deals with letters; the entries are keyed by the letters' ids."""

    def __init__(self, dead_letter_topic: str) -> None:
        self.topic = ledger_topic(dead_letter_topic)

    def create(self, admin: Admin) -> None:
        """Make the topic where it is missing."""
        admin.create([NewTopic(name=self.topic, partitions=1, config=CONFIG)])

    def note(self, producer: Producer, id: str, done: Done) -> None:  # noqa: A002 # the word for it
        """Put an entry into the open transaction."""
        producer.produce(self.topic, orjson.dumps(vars(done)), id, 0)

    def forget(self, producer: Producer, ids: Iterable[str]) -> None:
        """Remove the entries of letters that are deleted."""
        for one in ids:
            producer.produce(self.topic, None, one, 0)


def apply(entries: dict[str, Done], key: bytes | None, value: bytes | None) -> None:
    """Bring a record of the ledger into what is known."""
    letter = (key or b"").decode(errors="replace")
    if value is None:
        entries.pop(letter, None)
        return
    stored: Mapping[str, object] = orjson.loads(value)
    entries[letter] = Done(stored["how"], stored["at_ms"])  # type: ignore[arg-type] # as `note` wrote it
