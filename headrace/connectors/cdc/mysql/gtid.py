"""Sets of global transaction ids: how far a server, or a reader of its log, is.

MariaDB names the last transaction per domain (`0-1-55,1-3-7`), MySQL ranges per server (`3e11...:1-5:8`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class MariadbGtids:
    """Per domain the server and the number of the last transaction. Numbers of a domain only grow."""

    last: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "MariadbGtids":
        found = cls()
        for part in filter(None, (one.strip() for one in text.split(","))):
            found.add(part)
        return found

    def add(self, gtid: str) -> None:
        """One more transaction."""
        domain, server, number = map(int, gtid.split("-"))
        self.last[domain] = (server, number)

    def covers(self, other: "MariadbGtids") -> bool:
        """Whether everything in `other` is in this one."""
        return all(
            self.last.get(domain, (0, 0))[1] >= number for domain, (_, number) in other.last.items()
        )

    def missing(self, other: "MariadbGtids") -> int:
        """How many transactions of `other` are not in this one, roughly."""
        return sum(
            max(0, number - self.last.get(domain, (0, 0))[1])
            for domain, (_, number) in other.last.items()
        )

    def __str__(self) -> str:
        return ",".join(
            f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.last.items())
        )


@dataclass
class MysqlGtids:
    """Per source the ranges of numbers, each with its ends, in order and apart from each other."""

    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "MysqlGtids":
        found = cls()
        for part in filter(None, (one.strip() for one in text.split(","))):
            source, *ranges = part.split(":")
            for one in ranges:
                first, _, last = one.partition("-")
                found._put(source.lower(), int(first), int(last or first))
        return found

    def add(self, gtid: str) -> None:
        """One more transaction."""
        source, _, number = gtid.rpartition(":")
        self._put(source.lower(), int(number), int(number))

    def _put(self, source: str, first: int, last: int) -> None:
        ranges = self.ranges.setdefault(source, [])
        if ranges and ranges[-1][1] + 1 == first:  # nearly always
            ranges[-1] = (ranges[-1][0], last)
            return
        ranges.append((first, last))
        ranges.sort()
        joined = [ranges[0]]
        for begin, end in ranges[1:]:
            if begin <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        self.ranges[source] = joined

    def covers(self, other: "MysqlGtids") -> bool:
        """Whether everything in `other` is in this one."""
        return all(self._covers(source, *one) for source, one in other.each())

    def each(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Every range with its source."""
        for source, ranges in self.ranges.items():
            for one in ranges:
                yield source, one

    def _covers(self, source: str, first: int, last: int) -> bool:
        return any(begin <= first and last <= end for begin, end in self.ranges.get(source, ()))

    def missing(self, other: "MysqlGtids") -> int:
        """How many transactions of `other` are not in this one, roughly."""
        mine = sum(end - begin + 1 for _, (begin, end) in self.each())
        theirs = sum(end - begin + 1 for _, (begin, end) in other.each())
        return max(0, theirs - mine)

    def __str__(self) -> str:
        return ",".join(
            f"{source}:{':'.join(_range(*one) for one in ranges)}"
            for source, ranges in sorted(self.ranges.items())
        )


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


Gtids = MariadbGtids | MysqlGtids


def parse_gtids(text: str, *, is_mariadb: bool) -> Gtids:
    """The set that a server's text stands for."""
    return MariadbGtids.parse(text) if is_mariadb else MysqlGtids.parse(text)


def covers(one: Gtids, other: Gtids) -> bool:
    """Whether everything in `other` is in `one`; both are of the same kind of server."""
    if isinstance(one, MariadbGtids):
        assert isinstance(other, MariadbGtids)
        return one.covers(other)
    assert isinstance(other, MysqlGtids)
    return one.covers(other)


def missing(one: Gtids, other: Gtids) -> int:
    """How many transactions of `other` are not in `one`; both are of the same kind of server."""
    if isinstance(one, MariadbGtids):
        assert isinstance(other, MariadbGtids)
        return one.missing(other)
    assert isinstance(other, MysqlGtids)
    return one.missing(other)
