"""How far the groups of flows are behind the topics that they read."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Event, Thread

from headrace.runtime.contracts.broker import Admin, Broker, TopicPartition
from headrace.runtime.errors import HeadraceError

LOOK_EVERY_S = 3.0


def lags(admin: Admin, groups: Iterable[str]) -> dict[str, dict[TopicPartition, int]]:
    """Per group and partition that it has a position for, the offsets between it and the end.

    What a transaction leaves behind in a partition counts as one: a flow that has read everything may have a lag of 1 in
    partitions that are written with transactions.
    """
    positions = {group: admin.group_positions(group) for group in groups}
    partitions = {partition for of_group in positions.values() for partition in of_group}
    ends = admin.offsets(partitions, "latest") if partitions else {}
    return {
        group: {
            partition: max(0, ends[partition] - position)
            for partition, position in of_group.items()
            if partition in ends
        }
        for group, of_group in positions.items()
    }


class LagWatch:
    """Looks at the lag every three seconds, in a thread of its own, since a broker may take long to answer."""

    def __init__(self, broker: Broker, groups: Sequence[str]) -> None:
        self._broker = broker
        self._groups = groups
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
        try:
            while not self._stopped.wait(LOOK_EVERY_S):
                try:
                    found = lags(admin, self._groups)
                except HeadraceError:
                    self._lags = {}  # unknown while nobody answers
                    continue
                self._lags = {group: sum(parts.values()) for group, parts in found.items() if parts}
        finally:
            admin.close()
