"""Where a feed runs, without a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Condition, Event, Thread
from typing import Any

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.contracts.broker import Broker
from headrace.runtime.contracts.feed import Exclusive, FeedPlace, FeedStatus
from headrace.runtime.environment import Values
from headrace.runtime.expression import Template
from headrace.runtime.expression.given import values_of

WAIT_S = 60.0


def config_of(**fields: Any) -> CdcConfig:
    """A config as a document has it, of a PostgreSQL unless told otherwise."""
    usual = {
        "url": "postgresql://reader:${secret.PASSWORD}@db:5432/shop",
        "tables": ["public.orders"],
    }
    return CdcConfig.model_validate({**usual, **fields})


@dataclass
class Reports:
    """What a feed has reported, for those who wait for it."""

    all: list[FeedStatus] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    errors: list[BaseException] = field(default_factory=list)

    def __call__(self, status: FeedStatus) -> None:
        with self.changed:
            self.all.append(status)
            self.changed.notify_all()

    def wait(self, wanted: Callable[[FeedStatus], bool], timeout_s: float = WAIT_S) -> FeedStatus:
        """The first report that is wanted, of those so far and those to come."""
        with self.changed:
            self.changed.wait_for(lambda: self.errors or any(map(wanted, self.all)), timeout_s)
            found = [one for one in self.all if wanted(one)]
        assert found, f"never reported; but {self.all[-5:]} and {self.errors}"
        return found[0]

    def state(self, state: str) -> FeedStatus:
        return self.wait(lambda one: one.state == state)


@dataclass
class Running:
    """A feed on a thread of its own."""

    place: FeedPlace
    reports: Reports
    thread: Thread

    def stop(self) -> None:
        """Ask it to end and wait for it; raises what it raised."""
        self.place.stopped.set()
        self.join()

    def join(self) -> None:
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "the feed does not end"
        if self.reports.errors:
            raise self.reports.errors[0]


def run(
    feed: Exclusive,
    *,
    name: str = "headrace.orders.changes",
    secrets: Mapping[str, str] | None = None,
    broker: Broker | None = None,
    clock: Clock | None = None,
) -> Running:
    """Run a feed as a worker does."""
    reports = Reports()
    place = place_of(
        feed.settings(), name=name, secrets=secrets, broker=broker, clock=clock, report=reports
    )

    def body() -> None:
        try:
            feed.run(place)
        except BaseException as error:  # for `join` to raise
            with reports.changed:
                reports.errors.append(error)
                reports.changed.notify_all()

    running = Running(place, reports, Thread(target=body))
    running.thread.start()
    return running


def place_of(
    settings: Mapping[str, Template],
    *,
    name: str = "headrace.orders.changes",
    secrets: Mapping[str, str] | None = None,
    broker: Broker | None = None,
    clock: Clock | None = None,
    report: Callable[[FeedStatus], None] = lambda _: None,
) -> FeedPlace:
    """Where a feed runs, with values for its settings."""
    values = Values({}, secrets or {"PASSWORD": "s3cret-word"})
    return FeedPlace(
        name=name,
        flow="orders",
        stage="changes",
        settings=values_of(settings, values.env, values.secret),
        broker=broker or MemoryBroker(clock=SystemClock()),
        client={},
        clock=clock or SystemClock(),
        stopped=Event(),
        report=report,
    )
