"""Answers of a real Kafka Connect that mislead: what is made of them."""

from dataclasses import dataclass
from typing import Any

from headrace.connectors.cdc.connect.connector import Connector
from headrace.connectors.cdc.connect.feed import ConnectFeed
from headrace.connectors.cdc.connect.rest import ConnectClient
from headrace.connectors.cdc.connect.standing import position_of, root_cause
from tests.cdc.fake_connect import POSTGRES, Answer, FakeConnect, serving
from tests.cdc.places import config_of, run


@dataclass
class Starting(FakeConnect):
    """Answers 404 to everything for so many requests, as Kafka Connect does while it starts."""

    left: int = 3

    def answer(self, method: str, path: list[str], body: Any) -> Answer:
        if self.left:
            self.left -= 1
            return 404, {"error_code": 404, "message": "Not Found"}
        return super().answer(method, path, body)


def test_a_kafka_connect_that_starts_is_waited_for() -> None:
    with serving(Starting()) as fake:
        config = config_of(engine="connect", connect={"url": fake.url})
        feed = run(ConnectFeed(config, "shop", watch_s=0.01))

        status = feed.reports.state("retrying")
        feed.reports.state("running")
        feed.stop()

    assert "is starting, or is not Kafka Connect (see connect.url)" in status.text


def test_a_wrong_password_is_blamed_on_the_login_and_not_on_the_host() -> None:
    with serving(FakeConnect()) as fake:
        wrong = 'FATAL: password authentication failed for user "reader"'
        fake.field_errors = {"database.hostname": [wrong]}

        found = Connector(ConnectClient(fake.url), "orders").problems({"connector.class": POSTGRES})

    assert found == [("database.user, database.password", wrong)]


def test_a_long_cause_keeps_its_end_which_says_what_to_do() -> None:
    cause = (
        f"The connector reads from {'x' * 1000}, but this is no longer available. Take a snapshot."
    )

    told = root_cause(f"java.lang.Exception: {cause}")

    assert told.startswith("java.lang.Exception: The connector reads from xx")
    assert told.endswith("but this is no longer available. Take a snapshot.")
    assert len(told) < 510


def test_the_position_is_told_by_source_where_there_are_several() -> None:
    one = {"partition": {"server": "shop"}, "offset": {"lsn": 5}}
    two = {"partition": {"server": "shop", "database": "b"}, "offset": {"lsn": 6}}

    assert position_of({"offsets": [one]}) == {"lsn": 5}
    assert position_of({"offsets": [one, two]}) == {
        "server shop": {"lsn": 5},
        "server shop, database b": {"lsn": 6},
    }
    assert position_of({"offsets": []}) == {}
