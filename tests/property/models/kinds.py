"""Every kind of window, over all records of one key at once: its config, its final results and its late records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.property.models.windows import Record, Result, sessions, sliding, values_in_time

Finals = tuple[list[Result], list[int]]
"""Results, and the values of late records in the order in which they came."""


@dataclass(frozen=True)
class Kind:
    """A window as a document has it; `every` counts for hopping and count windows."""

    name: str
    size: int
    every: int = 0

    @property
    def config(self) -> Mapping[str, Any]:
        if self.name == "count":
            steps: Mapping[str, Any] = {"every": self.every} if self.every != self.size else {}
            return {"count": self.size, **steps}
        steps = {"every": f"{self.every}ms"} if self.name == "hopping" else {}
        return {self.name: f"{self.size}ms", **steps}

    @property
    def identity(self) -> str:
        """The field that tells the results of one key apart."""
        return "end" if self.name == "sliding" else "start"

    @property
    def is_merged(self) -> bool:
        """Whether a window is put together from parts."""
        return self.name != "tumbling" and self.size != self.every

    def finals(self, records: list[Record], grace: int) -> Finals:
        """What is sent once every window is closed."""
        found: Mapping[str, Callable[[], Finals]] = {
            "tumbling": lambda: stretches(records, self.size, self.size, grace),
            "hopping": lambda: stretches(records, self.size, self.every, grace),
            "sliding": lambda: sliding(records, self.size, grace),
            "session": lambda: sessions(records, self.size, grace),
            "count": lambda: (counted(records, self.size, self.every), []),
        }
        return found[self.name]()

    def event_time(self, result: Result) -> int:
        """The timestamp of a result."""
        return result[1] - 1 if self.name in ("tumbling", "hopping") else result[1]


def starts(time: int, size: int, every: int) -> range:
    """The starts of the windows that hold a time."""
    last = time // every * every
    return range(last - size + every, last + every, every)


def stretches(records: list[Record], size: int, every: int, grace: int) -> Finals:
    """Tumbling and hopping windows: a record is in those of its windows that were open when it came."""
    windows: dict[int, list[Record]] = {}
    late: list[int] = []
    for record in records:
        found = [
            start
            for start in starts(record.time, size, every)
            if start + size + grace > record.watermark
        ]
        for start in found:
            windows.setdefault(start, []).append(record)
        late += [] if found else [record.value]
    return [
        (start, start + size, values_in_time(windows[start])) for start in sorted(windows)
    ], late


def counted(records: list[Record], count: int, every: int) -> list[Result]:
    """Count windows: nothing is late, and what is not full is not sent."""
    results = []
    for end in range(every, len(records) + 1, every):
        window = records[max(0, end - count) : end]
        times = [one.time for one in window]
        results.append((min(times), max(times), values_in_time(window)))
    return results
