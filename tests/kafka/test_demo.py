import orjson
import pytest
from click.testing import CliRunner

from headrace.runtime.cli.main import headrace
from headrace.runtime.demo.flights import data_file, read_flights

pytestmark = pytest.mark.kafka


def test_the_demo_sorts_out_every_flight_and_its_answer_is_right(kafka_brokers: str) -> None:
    flights = list(read_flights(data_file()))
    delays = [
        f["arr_delay"] for f in flights if f["dep_time"] is not None and f["arr_delay"] is not None
    ]
    late = [delay for delay in delays if isinstance(delay, int) and delay >= 60]
    cancelled = [f for f in flights if f["dep_time"] is None]

    done = CliRunner().invoke(headrace, ["demo", "--brokers", kafka_brokers, "--json"])

    assert done.exit_code == 0, done.output
    outcome = orjson.loads(done.stdout)
    assert outcome["flights"] == len(flights) == 336_776
    assert outcome["failed"] == 0
    assert outcome["records"] == {"demo.late": len(late), "demo.cancelled": len(cancelled)}
