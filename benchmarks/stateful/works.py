"""The works: what is read, what comes of it, and who can do it."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.stateful.answers import WINDOW_MS

EVERYBODY = ("handwritten", "headrace-rocksdb", "headrace-memory", "kafka-streams")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A work. Its events are keyed by the field `key`; `window_ms` is None where there are no windows."""

    name: str
    title: str
    key: str = "user"
    window_ms: int | None = None
    contenders: tuple[str, ...] = EVERYBODY


_ALL = [
    Kind(
        name="reduce",
        title="count and sum per user and minute",
        window_ms=WINDOW_MS,
        contenders=(*EVERYBODY, "quix", "bytewax"),
    ),
    Kind(
        name="rekey",
        title="the same, of a topic with another key: behind a repartition topic",
        key="id",
        window_ms=WINDOW_MS,
    ),
    Kind(
        name="counter",
        title="count and sum per user, for ever",
        contenders=(*EVERYBODY, "quix", "bytewax"),
    ),
    Kind(name="join", title="every event with its user's row of a table of 10,000"),
    Kind(name="restore", title="a lost state is read back; records are keys"),
]
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
