"""Test flows without a broker: the engine and the clock that headrace's own tests use.

::

    from headrace.testing import FlowTest

    def test_big_orders_get_a_total() -> None:
        with FlowTest("orders.yaml") as test:
            test.send("orders", {"amount": 200}, key="a")
            test.run()

            assert [record.value["total"] for record in test.received("big-orders")] == [240.0]
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.memory.faults import Faults
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.call import Call
from headrace.runtime.duration import parse_duration
from headrace.runtime.errors import ClosedError, SettingsError
from headrace.runtime.flow import Flow, did_you_mean, load_flows
from headrace.runtime.task.records import encode_header, encode_key, encode_text
from headrace.runtime.testcases.answers import answering_by
from headrace.runtime.testcases.coverage import Coverage, CoveragePlace
from headrace.runtime.testcases.driver import NOW_MS, Driver, GivenValues
from headrace.runtime.testcases.records import DeadLetter, TestRecord

__all__ = [
    "Coverage",
    "CoveragePlace",
    "DeadLetter",
    "Faults",
    "FlowTest",
    "ManualClock",
    "TestRecord",
]


class FlowTest:
    """Flows on topics in memory, run by calls on this thread; no broker, no waiting.

    `flows` are flows, or files and folders of documents; a flow that is not `enabled` runs too. `clock` begins at
    2026-01-01T00:00:00Z. `env` and `secrets` are all that expressions see of either. `topics` are partition
    counts; a topic that is not named there has one partition, so that its records have one order. Nothing outside is called:
    `answers` has, per stage that would, a function that is given the `Call` and returns the event to send on, or raises, such as
    `CallFailedError`.

    Errors of the flows come out of `with` (FlowError, SettingsError), those that stop a worker out of `run`.
    """

    __test__ = False

    def __init__(
        self,
        flows: Flow | str | Path | Iterable[Flow | str | Path],
        *,
        clock: ManualClock | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        topics: Mapping[str, int] | None = None,
        answers: Mapping[str, Callable[[Call], Any]] | None = None,
    ) -> None:
        self._answers = dict(answers or {})
        self.clock = clock or ManualClock(NOW_MS)
        self._flows = flows
        self._values = GivenValues(env or {}, secrets or {})
        self._topics = dict(topics or {})
        self._broker = MemoryBroker(clock=self.clock)
        self._opened: Driver | None = None
        self._seen: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self._opened is not None:
            raise ClosedError("this test was entered before; make a new FlowTest")
        self._opened = Driver(
            _loaded(self._flows),
            broker=self._broker,
            clock=self.clock,
            values=self._values,
            topics=self._topics,
            callers=answering_by(self._answers),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._driver.close()

    # ---- records in

    def send(
        self,
        topic: str,
        value: Any,
        *,
        key: Any = None,
        timestamp: int | None = None,
        headers: Mapping[str, Any] | None = None,
        partition: int | None = None,
    ) -> None:
        """Write a record to a topic that a flow reads. It is processed by the next `run`.

        Bytes, text and None (a tombstone) are sent as they are, everything else as JSON; so are keys and headers.
        `timestamp` is in ms since 1970 UTC, the clock's time when left out.

        Raises:
            SettingsError: no flow reads the topic, or it has no such partition.
        """
        self._driver.send(
            topic,
            encode_text(value),
            key=encode_key(key),
            timestamp=timestamp,
            headers=[(name, encode_header(text)) for name, text in (headers or {}).items()],
            partition=partition,
        )

    # ---- work

    def run(self, *, commit: bool = True) -> None:
        """Process until nothing is left to do, across link topics and from flow to flow, and commit.

        With `commit=False` the worker reads and processes what is there, but leaves its transaction open: what
        follows (`restart`, a fault) finds it in the middle of its work. Pauses before a retry move the clock.

        Raises:
            FlowStoppedError: a record failed in a stage with `on_error: fail`.
            HeadraceError: anything else that would end a worker.
        """
        self._driver.run(commit=commit)

    def advance(self, duration: object) -> None:
        """Finish what is left to do, move the clock by `"5m"` or a timedelta, and do what has become due."""
        self._driver.advance(parse_duration(duration).total_seconds())

    def restart(self) -> None:
        """Kill the worker and start it again on the same topics; what it had not committed is aborted."""
        self._driver.restart()

    @property
    def faults(self) -> Faults:
        """What goes wrong next: `fail_next_commit()`, `fail_next_delivery(topic)`, `lose(partition)`, `fence(id)`."""
        return self._broker.faults

    # ---- records out

    def received(self, topic: str) -> list[TestRecord]:
        """The committed records of a topic since the last call for this topic, by partition and offset.

        Raises:
            SettingsError: there is no such topic.
        """
        topics = self._driver.topics()
        if topic not in topics:
            raise SettingsError(f"topic '{topic}' does not exist{did_you_mean(topic, topics)}")
        records = self._driver.received(topic, self._seen.get(topic, 0))
        self._seen[topic] = self._seen.get(topic, 0) + len(records)
        return records

    def dead_letters(self, flow: str | None = None) -> list[DeadLetter]:
        """The dead letters of a flow, or of all flows, since the last call that told of them.

        Raises:
            SettingsError: there is no such flow.
        """
        names = [plan.name for plan in self._driver.plans]
        if flow is not None and flow not in names:
            raise SettingsError(f"flow '{flow}' is not in this test{did_you_mean(flow, names)}")
        found: list[DeadLetter] = []
        for name in [flow] if flow is not None else names:
            topic = self._driver.dead_letter_topics.get(name, "")
            letters = self._driver.dead_letters(name, self._seen.get(topic, 0))
            self._seen[topic] = self._seen.get(topic, 0) + len(letters)
            found += letters
        return found

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that exist, but for those between two stages; flows may have made some while they ran."""
        return self._driver.topics()

    @property
    def coverage(self) -> Coverage:
        """Which stages and routes were reached so far, and which were not."""
        return self._driver.coverage

    @property
    def _driver(self) -> Driver:
        if self._opened is None:
            raise ClosedError("the test has not begun; use `with FlowTest(...) as test:`")
        return self._opened


def _loaded(flows: Flow | str | Path | Iterable[Flow | str | Path]) -> list[Flow]:
    given = [flows] if isinstance(flows, Flow | str | Path) else list(flows)
    paths = [one for one in given if not isinstance(one, Flow)]
    return [one for one in given if isinstance(one, Flow)] + (load_flows(paths) if paths else [])
