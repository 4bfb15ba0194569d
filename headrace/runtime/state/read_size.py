"""How many changelog records are read at once: many small ones, few large ones."""

from collections.abc import Sequence

from headrace.runtime.contracts.broker import Message

RECORDS_FIRST = 1_000
RECORDS_MAX = (
    10_000  # more is hardly faster, and a write keeps the interpreter's lock for some 10 ms
)
BYTES = 16 << 20
SAMPLES = 64


class ReadSize:
    """Keeps a batch at some 16 MiB, so that memory stays bounded whatever the values are."""

    def __init__(self) -> None:
        self.records = RECORDS_FIRST

    def learn(self, messages: Sequence[Message]) -> None:
        """Learn from the sizes of some records of a batch."""
        if messages:
            some = messages[:: len(messages) // SAMPLES + 1]
            size = sum(len(one.key() or b"") + len(one.value() or b"") for one in some)
            self.records = max(1, min(RECORDS_MAX, BYTES * len(some) // max(size, 1)))
