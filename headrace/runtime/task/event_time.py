"""Event time: how far each input of a task has come, and how that crosses topics.

A source partition has come as far as the largest timestamp that was read of it. A topic of headrace's own tells by markers
how far each task that writes to it has come: one record without a value per commit, member and partition, in the transaction.
So a record is never late behind a topic that would not have been late before it, however the partitions were interleaved.

A marker's key is JSON: `{"from": "orders", "of": 4, "at": {"0": 1700000000000}, "idle": [2]}`. It names the writing
sub-topology, how many tasks that has, and how far some of them have come; those under `idle` have nothing to read and
hold nobody up. Where the sub-topology keeps no state and reads several topics, the partitions of one number may be read by
different workers; then each input is told of in place of the tasks (`{"orders-0": ...}`), and `topics` names those that are read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from headrace.runtime.contracts.broker import Message

UNKNOWN = -1
"""The watermark before the first record."""
ALWAYS = -1


class Advancing(Protocol):
    """What an input tells that it has gone on."""

    def advance(self) -> None: ...


class Input:
    """One source partition of a task. Generated code raises `high`, and calls `advance` when `high` reaches `due`.

    With `is_overdue` something is due that was set for a time that has passed: `advance` is called before the next record.
    """

    __slots__ = ("_task", "due", "high", "is_idle", "is_overdue")

    def __init__(self, task: Advancing) -> None:
        self._task = task
        self.high = UNKNOWN
        self.due = ALWAYS
        self.is_idle = False
        self.is_overdue = False

    def advance(self) -> None:
        """Do what has become due."""
        self._task.advance()

    def mark(self, message: Message) -> None:
        """A source partition has no markers: a record without a value is a record."""
        raise AssertionError(f"{message.topic()} is nobody's marker")

    def remembered(self) -> Any:
        """What must be known after a restart, as JSON."""
        return self.high

    def remember(self, data: Any) -> None:
        """Go on from what was remembered; None when nothing was."""
        self.high = data if isinstance(data, int) else UNKNOWN
        self.due = ALWAYS
        self.is_overdue = False
        self.is_idle = False  # found anew and told anew: what was told of it may have been aborted


@dataclass
class Upstream:
    """What a topic of headrace's own has told about one sub-topology that writes to it: per task, and which are idle."""

    count: int = 0
    high: dict[str, int] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)

    def keep(self, topics: Iterable[str]) -> None:
        """Forget inputs of other topics than these."""
        kept = tuple(f"{topic}-" for topic in topics)
        self.high = {
            name: high
            for name, high in self.high.items()
            if name.startswith(kept) and name[name.rindex("-") + 1 :].isdigit()
        }
        self.idle.intersection_update(self.high)


class MarkedInput(Input):
    """One partition of a topic of headrace's own.

    Args:
        upstreams: the names of the sub-topologies that write to the topic.
    """

    __slots__ = ("_upstreams",)

    def __init__(self, task: Advancing, upstreams: Iterable[str]) -> None:
        super().__init__(task)
        self._upstreams = {name: Upstream() for name in upstreams}

    def mark(self, message: Message) -> None:
        """Take in a marker."""
        told = orjson.loads(message.key() or b"{}")
        upstream = self._upstreams.get(told.get("from", ""))
        if upstream is None:
            return  # of a stage that the flow does not have any more
        if "topics" in told:  # others are not read any more
            upstream.count = told["of"]
            upstream.keep(told["topics"])
        else:
            upstream.count = max(upstream.count, told["of"])
        for task, high in told["at"].items():
            # A task that has moved begins anew; what it had told before was committed, and holds.
            upstream.high[task] = max(upstream.high.get(task, UNKNOWN), high)
            upstream.idle.discard(task)
        upstream.idle.update(told["idle"])
        self._refresh()

    def _refresh(self) -> None:
        busy: list[int] = []
        idle: list[int] = []
        for upstream in self._upstreams.values():
            if not upstream.count:
                return  # nothing was heard of it yet
            for task, high in upstream.high.items():
                (idle if task in upstream.idle else busy).append(high)
            if len(upstream.high) < upstream.count:
                busy.append(UNKNOWN)
        was_idle, self.is_idle = self.is_idle, not busy
        high = min(busy) if busy else max(idle, default=UNKNOWN)
        if high > self.high:
            self.high = high
            if high >= self.due:
                self._task.advance()
        elif self.is_idle and not was_idle:
            self._task.advance()

    def remembered(self) -> Any:
        return {
            name: {"count": u.count, "high": dict(u.high), "idle": sorted(u.idle)}
            for name, u in self._upstreams.items()
        }

    def remember(self, data: Any) -> None:
        self.high, self.due = UNKNOWN, ALWAYS
        self.is_idle = self.is_overdue = False
        for name in self._upstreams:
            known = (data or {}).get(name)
            self._upstreams[name] = (
                Upstream(known["count"], dict(known["high"]), set(known["idle"]))
                if known
                else Upstream()
            )
        self._refresh()


def watermark_of(inputs: Iterable[Input]) -> int:
    """How far a task has come: as far as the slowest input that is not idle, or when all are idle, the fastest."""
    highs = [(input_.high, input_.is_idle) for input_ in inputs]
    busy = [high for high, is_idle in highs if not is_idle]
    return min(busy) if busy else max((high for high, _ in highs), default=UNKNOWN)


def marker(
    name: str,
    tasks: int,
    at: Mapping[str, int],
    idle: Iterable[str],
    topics: Iterable[str] | None = None,
) -> bytes:
    """The key of a marker."""
    told: dict[str, Any] = {"from": name, "of": tasks, "at": at, "idle": list(idle)}
    if topics is not None:
        told["topics"] = sorted(topics)
    return orjson.dumps(told)
