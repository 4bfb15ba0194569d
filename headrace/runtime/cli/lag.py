"""How far the groups of flows are behind the topics that they read."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Event, Thread
from typing import NamedTuple, Self

from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Admin, Broker, Reader, TopicPartition
from headrace.runtime.errors import HeadraceError

LOOK_EVERY_S = 3.0
FEW = 20
"""So many offsets are looked at one by one."""
READ_S = 3.0


class Span(NamedTuple):
    """Offsets of a partition, from the next one that is to be read to the end."""

    begin: int
    end: int


Lags = dict[str, dict[TopicPartition, int]]


class LagLook:
    """Looks how many records groups have not read yet. A context manager; belongs to one thread.

    A transaction leaves an offset behind in each partition that it wrote to, and nobody ever reads that. So where few offsets
    are left, the records among them are counted, which costs a read.
    """

    def __init__(self, broker: Broker, admin: Admin, client: Mapping[str, str]) -> None:
        self._broker = broker
        self._admin = admin
        self._client = client
        self._reader: Reader | None = None
        self._counted: dict[tuple[TopicPartition, Span], int] = {}

    def lags(self, groups: Iterable[str]) -> Lags:
        """Per group and partition that it has a position for, the records between it and the end."""
        spans = _spans(self._admin, groups)
        few = {
            one: span
            for of_group in spans.values()
            for one, span in of_group.items()
            if 0 < span.end - span.begin <= FEW
        }
        self._counted = {key: n for key, n in self._counted.items() if few.get(key[0]) == key[1]}
        self._count({one: span for one, span in few.items() if (one, span) not in self._counted})
        return {
            group: {
                one: self._counted.get((one, span), max(0, span.end - span.begin))
                for one, span in of_group.items()
            }
            for group, of_group in spans.items()
        }

    def _count(self, spans: Mapping[TopicPartition, Span]) -> None:
        """Count the records between two offsets of partitions, as far as they can be read in time."""
        if not spans:
            return
        if self._reader is None:
            self._reader = self._broker.reader("headrace.lag", self._client)
        self._reader.assign({one: span.begin for one, span in spans.items()})
        counts = dict.fromkeys(spans, 0)
        clock = SystemClock()
        until_s = clock.monotonic_s() + READ_S
        while clock.monotonic_s() < until_s:
            for message in self._reader.read(1_000, 0.2):
                one = TopicPartition(message.topic(), message.partition())
                counts[one] += message.offset() < spans[one].end
            positions = self._reader.positions()
            if all(positions[one] >= span.end for one, span in spans.items()):
                self._counted |= {(one, span): counts[one] for one, span in spans.items()}
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the reader; the admin is the caller's."""
        if self._reader is not None:
            self._reader.close()


def lags(admin: Admin, groups: Iterable[str]) -> Lags:
    """Per group and partition that it has a position for, the offsets between it and the end, read by anybody or not."""
    return {
        group: {one: max(0, span.end - span.begin) for one, span in of_group.items()}
        for group, of_group in _spans(admin, groups).items()
    }


def _spans(admin: Admin, groups: Iterable[str]) -> dict[str, dict[TopicPartition, Span]]:
    """Per group, its positions and the ends of these partitions."""
    positions = {group: admin.group_positions(group) for group in groups}
    partitions = {partition for of_group in positions.values() for partition in of_group}
    ends = admin.offsets(partitions, "latest") if partitions else {}
    return {
        group: {one: Span(at, ends[one]) for one, at in of_group.items() if one in ends}
        for group, of_group in positions.items()
    }


class LagWatch:
    """Looks at the lag every three seconds, in a thread of its own, since a broker may take long to answer."""

    def __init__(self, broker: Broker, groups: Sequence[str], client: Mapping[str, str]) -> None:
        self._broker = broker
        self._groups = groups
        self._client = client
        self._stopped = Event()
        self._lags: dict[str, int] = {}
        self._thread = Thread(target=self._look, name="headrace lag", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for."""
        self._stopped.set()

    @property
    def lags(self) -> Mapping[str, int]:
        """The lag per group, as of the last look; groups without positions are left out."""
        return self._lags

    def _look(self) -> None:
        admin = self._broker.admin()
        look = LagLook(self._broker, admin, self._client)
        try:
            while not self._stopped.wait(LOOK_EVERY_S):
                try:
                    found = look.lags(self._groups)
                except HeadraceError:
                    self._lags = {}  # unknown while nobody answers
                    continue
                self._lags = {group: sum(parts.values()) for group, parts in found.items() if parts}
        finally:
            look.close()
            admin.close()
