"""A question about real data, answered by a flow on Apache Kafka and by a database, which must agree.

Every flight that left New York City in 2013: how many departed in each hour from each airport, how late, of which airlines, and
in what weather? Keys change three times, the worker is replaced by one without its state, and event time is a year.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import orjson
import pytest
from confluent_kafka import Producer

from headrace import Flow, Worker, flow
from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.demo.flights import (
    data_folder,
    departure_ms,
    hour_ms,
    read_airlines,
    read_flights,
    read_weather,
)

pytestmark = pytest.mark.kafka

PARTITIONS = 4
WAIT_S = 400.0

QUERY = """
with departures as (
    select flights.origin, flights.time_hour as hour, flights.dep_delay, airlines.name
    from read_csv('{folder}/flights.csv', nullstr = 'NA') as flights
    join read_csv('{folder}/airlines.csv') as airlines using (carrier)
    where dep_delay is not null
), hours as (
    select origin, hour, count(*) as departures, avg(dep_delay) as delay, max(dep_delay) as longest,
        list_sort(list(distinct name)) as airlines
    from departures group by origin, hour
), weather as (
    select origin, time_hour as hour, wind_speed, precip
    from read_csv('{folder}/weather.csv', nullstr = 'NA')
)
select hours.origin, epoch_ms(hours.hour) as start, departures, delay, longest, airlines,
    measured.wind_speed, measured.precip, known.wind_speed as known_wind_speed, epoch_ms(known.hour) as known_at
from hours
left join weather as measured on hours.origin = measured.origin and hours.hour = measured.hour
asof left join weather as known on hours.origin = known.origin and hours.hour >= known.hour
order by start, hours.origin
"""


class Topics:
    """The topics of one test, under names of their own."""

    def __init__(self, brokers: str) -> None:
        self.brokers = brokers
        self.unique = uuid.uuid4().hex[:8]
        self._admin = KafkaBroker(brokers).admin()

    def create(self, name: str) -> str:
        full = f"{name}-{self.unique}"
        forever = {"retention.ms": "-1"}  # records are of 2013
        self._admin.create([NewTopic(name=full, partitions=PARTITIONS, config=forever)])
        return full

    def send(self, topic: str, records: Iterable[tuple[str, Any, int]]) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.brokers,
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": "murmur2_random",  # as headrace and Kafka's own clients have it; tables are joined by it
            }
        )
        for key, value, timestamp in records:
            producer.produce(topic, orjson.dumps(value), key, timestamp=timestamp)
        assert producer.flush(WAIT_S) == 0

    def committed(self, topic: str) -> list[Any]:
        """What read-committed readers find in a topic now."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = self._admin.offsets(places, "latest")
        reader = KafkaBroker(self.brokers).reader("test", {})
        found: list[Any] = []
        try:
            reader.assign(dict.fromkeys(places, 0))
            while any(reader.positions()[place] < ends[place] for place in places):
                found += [orjson.loads(m.value() or b"") for m in reader.read(10_000, 1.0)]
        finally:
            reader.close()
        return found

    def close(self) -> None:
        self._admin.close()


@pytest.fixture
def topics(kafka_brokers: str) -> Iterator[Topics]:
    made = Topics(kafka_brokers)
    yield made
    made.close()


def question(topics: Topics, flights: str, airlines: str, weather: str, hourly: str) -> Flow:
    """The flow; `hourly` is the weather under keys such as `JFK|1357034400000`, `weather` under those of airports."""
    made = flow(f"question {topics.unique}")
    source = made.kafka("flights", topics=flights)
    departed = source.filter("departed", where="event.dep_delay is not null")
    named = departed.hydrate("airline", table=airlines, key="event.carrier", into="airline")
    hours = named.reduce(
        "hours",
        key="event.origin",
        window={"tumbling": "1h"},
        aggregate={
            "departures": "count()",
            "delay": "mean(event.dep_delay)",
            "longest": "max(event.dep_delay)",
            "airlines": "distinct(event.airline.name, 20)",
        },
        emit="final",
        close={"idle": "3s"},
        late={"topic": topics.create("late")},
    )
    known = hours.hydrate("known", table=weather, as_of=True, history="3h", into="known")
    measured = known.hydrate(
        "measured", table=hourly, key="f'{event.key}|{event.start}'", into="measured"
    )
    measured.publish("sink", topic=topics.create("hours"))
    return made.build()


def answer_of(hour: Any) -> tuple[Any, ...]:
    """A result of the flow as a row of the query."""
    measured, known = hour["measured"] or {}, hour["known"] or {}
    return (
        hour["key"],
        hour["start"],
        hour["departures"],
        pytest.approx(hour["delay"]),
        hour["longest"],
        sorted(hour["airlines"]),
        measured.get("wind_speed"),
        measured.get("precip"),
        known.get("wind_speed"),
        hour_ms(known) if known else None,
    )


async def run_until(
    made: Flow, settings: dict[str, Any], is_done: Callable[[Worker], bool]
) -> None:
    async with asyncio.timeout(WAIT_S), Worker(made, **settings) as worker:
        while not await asyncio.to_thread(is_done, worker):
            await asyncio.sleep(0.5)
    assert worker.statistics().failed == {}


def test_a_flow_over_a_year_of_flights_gives_the_answer_of_a_database(
    topics: Topics, kafka_brokers: str, tmp_path: Path
) -> None:
    folder = data_folder()
    flights = sorted(read_flights(folder), key=departure_ms)
    weather = list(read_weather(folder))
    names = [topics.create(name) for name in ("flights", "airlines", "weather", "hourly")]
    topics.send(names[1], ((row["carrier"], row, 1) for row in read_airlines(folder)))
    topics.send(names[2], ((str(row["origin"]), row, hour_ms(row)) for row in weather))
    hourly = ((f"{row['origin']}|{hour_ms(row)}", row, hour_ms(row)) for row in weather)
    topics.send(names[3], hourly)
    topics.send(names[0], ((str(row["tailnum"]), row, departure_ms(row)) for row in flights))
    made = question(topics, *names)
    departures = sum(row["dep_delay"] is not None for row in flights)
    settings = {"brokers": kafka_brokers, "create_topics": True, "idle_after": "1s"}

    asyncio.run(
        run_until(
            made,
            {**settings, "state_dir": tmp_path / "first"},
            lambda worker: worker.statistics().records_read > len(flights),
        )
    )
    early = topics.committed(f"hours-{topics.unique}")
    asyncio.run(
        run_until(
            made,
            {**settings, "state_dir": tmp_path / "second"},
            lambda _: (
                sum(row["departures"] for row in topics.committed(f"hours-{topics.unique}"))
                >= departures
            ),
        )
    )
    found = topics.committed(f"hours-{topics.unique}")
    with ZipFile(folder / "flights.csv.zip") as archive:
        archive.extract("flights.csv", tmp_path)
    for name in ("airlines.csv", "weather.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    expected = duckdb.execute(QUERY.format(folder=tmp_path)).fetchall()

    assert len(early) < len(found) == len(expected)
    assert topics.committed(f"late-{topics.unique}") == []
    found.sort(key=lambda hour: (hour["start"], hour["key"]))
    assert [answer_of(hour) for hour in found] == expected
