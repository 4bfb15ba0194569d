"""A place for a schedule's feed: a broker in memory and a clock that only tests move."""

from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any

import orjson

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.schedule import Schedule
from headrace.connectors.schedule.ticker import Ticker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import Message, NewTopic, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus

TOPIC = "daily.tick"


def ms(text: str) -> int:
    """A moment with its time zone, in ms since 1970 UTC."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@dataclass
class ScheduleWorld:
    """A cluster in which a schedule fires, whoever owns it."""

    now: str = "2026-01-31T12:00:00Z"
    group: str = ""
    clock: ManualClock = field(init=False)
    broker: MemoryBroker = field(init=False)
    reports: list[FeedStatus] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock(ms(self.now))
        self.broker = MemoryBroker(clock=self.clock)
        self.broker.admin().create([NewTopic(name=TOPIC, partitions=1)])

    def place(self) -> FeedPlace:
        return FeedPlace(
            name="headrace.daily.tick",
            flow="the daily flow",
            stage="the tick",
            settings={},
            broker=self.broker,
            client={},
            clock=self.clock,
            stopped=Event(),
            report=self.reports.append,
            group=self.group,
        )

    def owner(self, **config: Any) -> Ticker:
        """A worker that has just become the owner."""
        ticker = schedule(**config).feed().ticker(self.place())
        ticker.begin()
        return ticker

    def go_to(self, moment: str, ticker: Ticker | None = None) -> None:
        """Let time pass; the ticker does what it does meanwhile."""
        end_ms = ms(moment)
        while self.clock.now_ms() < end_ms:
            left_s = (end_ms - self.clock.now_ms()) / 1000
            self.clock.advance(min(left_s, ticker.step() if ticker else left_s))
        if ticker:
            while not ticker.step():
                pass

    @property
    def messages(self) -> list[Message]:
        reader = self.broker.reader("test")
        reader.assign({TopicPartition(TOPIC, 0): 0})
        return reader.read(100_000, 0)

    @property
    def events(self) -> list[Any]:
        return [orjson.loads(one.value() or b"") for one in self.messages]

    @property
    def due(self) -> list[str]:
        return [event["due"] for event in self.events]


def schedule(**config: Any) -> Schedule:
    """The action as a flow has it."""
    return Schedule(Schedule.Config.model_validate(config)).placed("daily", "tick")
