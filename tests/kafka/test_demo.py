from collections import defaultdict
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from headrace.runtime.cli.main import headrace
from headrace.runtime.demo.flights import data_folder, hour_ms, read_flights, read_weather
from headrace.runtime.demo.show import BUSY, WORST

pytestmark = pytest.mark.kafka


def test_the_demo_reduces_every_flight_to_hours_and_its_answer_is_right(kafka_brokers: str) -> None:
    rows: list[dict[str, Any]] = list(read_flights(data_folder()))
    hours = defaultdict(list)
    for row in rows:
        if row["dep_delay"] is not None:
            hours[row["origin"], hour_ms(row)].append(row["dep_delay"])
    means = {hour: sum(delays) / len(delays) for hour, delays in hours.items()}
    worst = sorted((h for h in hours if len(hours[h]) >= BUSY), key=lambda h: -means[h])[:WORST]
    measured = [(str(one["origin"]), hour_ms(one), one) for one in read_weather(data_folder())]
    rain = {(origin, at): float(one["precip"] or 0) for origin, at, one in measured}

    done = CliRunner().invoke(headrace, ["demo", "--brokers", kafka_brokers, "--json"])

    assert done.exit_code == 0, done.output
    outcome = orjson.loads(done.stdout)
    assert (outcome["flights"], outcome["failed"]) == (len(rows), 0)
    assert outcome["departures"] == sum(map(len, hours.values()))
    assert outcome["hours"] == len(hours)
    assert [(hour["key"], hour["start"]) for hour in outcome["worst"]] == worst
    assert [hour["delay"] for hour in outcome["worst"]] == pytest.approx([means[h] for h in worst])
    for hour in outcome["worst"]:
        known = [at for origin, at in rain if origin == hour["key"] and at <= hour["start"]]
        assert hour["weather"]["precip"] == rain[hour["key"], max(known)]
