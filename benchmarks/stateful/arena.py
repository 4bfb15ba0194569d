"""Where a contender does its work: the broker, the topics that are filled once, and the check of what comes out."""

import dataclasses
import uuid

from benchmarks.contender import Contender, ContenderError, Result, Task, run
from benchmarks.processor_time import OtherLoad
from benchmarks.rounds import say
from benchmarks.stateful.answers import (
    Totals,
    check_joined,
    check_totals,
    last_totals,
    totals_of,
)
from benchmarks.stateful.input import (
    TABLE,
    fill_events,
    fill_table,
    shop_events,
)
from benchmarks.stateful.works import Kind
from benchmarks.topics import create, records_of, remove, remove_all
from headrace.connectors.local_kafka import LocalKafka


@dataclasses.dataclass(frozen=True)
class Source:
    """A topic that was filled, and what its records come to."""

    topic: str
    records: int
    kept: int
    totals: Totals


class Arena:
    """Runs one contender at a time on one broker. Topics are filled when they are first needed."""

    def __init__(self, kafka: LocalKafka) -> None:
        self._kafka = kafka
        self._sources: dict[tuple[str, int], Source] = {}

    def run(self, kind: Kind, contender: Contender, wanted: int) -> Result:
        """One contender, into a topic of its own, with its check.

        Raises:
            ContenderError: it failed, or its answers are wrong.
        """
        source = self._source(kind, contender.records(wanted))
        target = f"benchmark-{kind.name}-{uuid.uuid4()}"
        group = f"{contender.name}-{uuid.uuid4()}"
        create(self._kafka.brokers, target)
        try:
            result = self.measure(
                contender,
                Task(
                    brokers=self._kafka.brokers,
                    source=source.topic,
                    target=target,
                    group=group,
                    records=source.records,
                    kept=source.kept,
                    options=(kind.name,),
                ),
            )
            messages = records_of(self._kafka.brokers, target)
            if kind.name == "join":
                check_joined(contender.name, source.kept, messages)
            else:
                found = last_totals(messages, contender.name)
                wrong = check_totals(contender.name, source.totals, found, result.late)
                result = dataclasses.replace(result, wrong=wrong)
        finally:
            remove(self._kafka.brokers, target)
            remove_all(self._kafka.brokers, group)
        tell(result)
        return result

    def measure(self, contender: Contender, task: Task) -> Result:
        """Run a contender, and see what others did meanwhile."""
        process = self._kafka.process
        others = OtherLoad(process.pid if process else None)
        result = run(contender, task)
        if result.records != task.records:
            raise ContenderError(
                f"{contender.name} read {result.records} of {task.records} records"
            )
        return dataclasses.replace(result, other_cores=round(others.cores(), 2))

    def _source(self, kind: Kind, records: int) -> Source:
        """The topic of this key and size. Its answers are computed per kind."""
        topic = f"benchmark-by-{kind.key}-{records}"
        if not any(known.topic == topic for known in self._sources.values()):
            say(f"writing {records:,} records to {topic}")
            fill_events(self._kafka.brokers, topic, shop_events(records), kind.key)
        if kind.name == "join" and not any(name == "join" for name, _ in self._sources):
            say(f"writing {TABLE}")
            fill_table(self._kafka.brokers)
        if (kind.name, records) not in self._sources:
            totals = totals_of(shop_events(records), kind.window_ms)
            kept = sum(n for n, _ in totals.values())
            self._sources[kind.name, records] = Source(topic, records, kept, totals)
        return self._sources[kind.name, records]


def tell(result: Result) -> None:
    """A line of progress."""
    late = f"; {result.late:,} dropped as late" if result.late else ""
    say(
        f"  {result.contender:<24}{result.per_second:>10,.0f}/s  {result.cpu_us:6.2f} us CPU  {result.peak_mb:5.0f} MB  "
        f"{result.records:,} in{late}; others used {result.other_cores:.2f} cores"
    )
