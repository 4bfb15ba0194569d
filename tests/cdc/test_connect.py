"""Engine `connect` against a fake of Kafka Connect's REST API."""

from collections.abc import Iterator

import pytest

from headrace.connectors.cdc.connect.connector import Connector
from headrace.connectors.cdc.connect.feed import ConnectFeed
from headrace.connectors.cdc.connect.rest import ConnectClient
from headrace.connectors.cdc.connect.standing import read_status, root_cause
from headrace.runtime.contracts.feed import FeedStatus
from headrace.runtime.errors import RetriableError, SettingsError
from tests.cdc.fake_connect import POSTGRES, FakeConnect, serving
from tests.cdc.places import Running, config_of, run

NAME = "headrace.orders.changes"
PASSWORD = "s3cret-word"
TRACE = """org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer
\tat io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:72)
Caused by: org.postgresql.util.PSQLException: Database connection failed
\tat org.postgresql.Driver.connect(Driver.java:1)
\t... 3 more
Caused by: org.postgresql.util.PSQLException: ERROR: replication slot "s" does not exist for password=s3cret-word
\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2736)
"""


@pytest.fixture
def kafka_connect() -> Iterator[FakeConnect]:
    with serving(FakeConnect()) as fake:
        yield fake


@pytest.fixture
def connector(kafka_connect: FakeConnect) -> Connector:
    return Connector(ConnectClient(kafka_connect.url), "orders")


def feed_of(fake: FakeConnect, **fields: object) -> ConnectFeed:
    config = config_of(engine="connect", connect={"url": fake.url}, **fields)
    return ConnectFeed(config, "shop", watch_s=0.01)


def running(status: FeedStatus) -> bool:
    return status.state == "running"


def failure_of(one: Running) -> str:
    with pytest.raises(SettingsError) as caught:
        one.join()
    return str(caught.value)


def test_a_connector_is_validated_and_registered_and_reported_as_running(
    kafka_connect: FakeConnect,
) -> None:
    feed = run(feed_of(kafka_connect))
    status = feed.reports.wait(running)
    feed.stop()

    properties = kafka_connect.connectors[NAME]
    assert kafka_connect.requests == [
        f"PUT /connector-plugins/{POSTGRES}/config/validate",
        f"PUT /connectors/{NAME}/config",
    ]
    assert properties["database.password"] == PASSWORD
    assert properties["table.include.list"] == r"public\.orders"
    assert properties["value.converter.schemas.enable"] == "false"
    assert status.figures["connector_tasks_running"] == 1


def test_a_connector_that_is_as_wanted_is_left_alone(kafka_connect: FakeConnect) -> None:
    first = run(feed_of(kafka_connect))
    first.reports.wait(running)
    first.stop()
    kafka_connect.requests.clear()

    second = run(feed_of(kafka_connect))
    second.reports.wait(running)
    second.stop()

    assert kafka_connect.requests == []


def test_a_changed_config_is_given_to_the_connector(kafka_connect: FakeConnect) -> None:
    for tables in (["public.orders"], ["public.orders", "public.lines"]):
        feed = run(feed_of(kafka_connect, tables=tables))
        feed.reports.wait(running)
        feed.stop()

    assert kafka_connect.connectors[NAME]["table.include.list"] == r"public\.orders,public\.lines"


def test_the_connector_of_somebody_else_is_not_taken_over(kafka_connect: FakeConnect) -> None:
    kafka_connect.connectors[NAME] = {"connector.class": POSTGRES, "topic.prefix": "theirs"}

    message = failure_of(run(feed_of(kafka_connect)))

    assert "is there already, with the topic.prefix 'theirs', and this stage's is 'shop'" in message
    assert kafka_connect.connectors[NAME]["topic.prefix"] == "theirs"


def test_every_field_that_is_refused_is_named_and_no_secret_shown(
    kafka_connect: FakeConnect,
) -> None:
    kafka_connect.field_errors = {
        "slot.name": ["The 'slot.name' value is invalid: a slot name has no dots"],
        "database.user": [f"FATAL: password authentication failed, tried {PASSWORD}"],
    }

    message = failure_of(run(feed_of(kafka_connect)))

    assert "slot.name: The 'slot.name' value is invalid: a slot name has no dots" in message
    assert "database.user: FATAL: password authentication failed, tried ***" in message


def test_a_database_that_is_away_is_waited_for(kafka_connect: FakeConnect) -> None:
    kafka_connect.field_errors = {
        "database.hostname": ["Unable to connect: Connection to db:5432 refused."]
    }
    feed = run(feed_of(kafka_connect))

    status = feed.reports.state("retrying")
    kafka_connect.field_errors = {}
    feed.reports.wait(running)
    feed.stop()

    assert "the database does not answer Kafka Connect: database.hostname: Unable" in status.text


def test_a_class_that_is_not_installed_is_named(kafka_connect: FakeConnect) -> None:
    kafka_connect.plugins = ["org.apache.kafka.connect.mirror.MirrorSourceConnector"]

    message = failure_of(run(feed_of(kafka_connect)))

    assert f"does not have the connector {POSTGRES}; it has none of Debezium's" in message


def test_failed_tasks_are_started_again_and_their_root_cause_told(
    kafka_connect: FakeConnect,
) -> None:
    feed = run(feed_of(kafka_connect))
    feed.reports.wait(running)
    with kafka_connect.changed:
        kafka_connect.traces[NAME] = TRACE
        kafka_connect.task_states[NAME] = ["FAILED"]

    status = feed.reports.state("retrying")
    feed.reports.wait(lambda one: running(one) and one.figures["connector_restarts"] == 1)
    feed.stop()

    assert f"POST /connectors/{NAME}/restart?includeTasks=true&onlyFailed=true" in (
        kafka_connect.requests
    )
    assert 'ERROR: replication slot "s" does not exist for password=***' in status.text


def test_what_somebody_paused_stays_paused_until_it_is_resumed(kafka_connect: FakeConnect) -> None:
    feed = run(feed_of(kafka_connect))
    feed.reports.wait(running)
    stage = Connector(ConnectClient(kafka_connect.url), NAME)

    stage.pause()
    status = feed.reports.state("paused")
    feed.reports.all.clear()
    stage.resume()
    feed.reports.wait(running)
    feed.stop()

    assert status.text == f"the connector '{NAME}' is paused in Kafka Connect"


def test_a_connector_that_was_removed_is_registered_again(kafka_connect: FakeConnect) -> None:
    feed = run(feed_of(kafka_connect))
    feed.reports.wait(running)

    Connector(ConnectClient(kafka_connect.url), NAME).remove()
    with kafka_connect.changed:
        is_back = kafka_connect.changed.wait_for(lambda: NAME in kafka_connect.connectors, 20)
    feed.stop()

    assert is_back


def test_a_cluster_that_rebalances_is_asked_again(kafka_connect: FakeConnect) -> None:
    kafka_connect.busy = 1
    feed = run(feed_of(kafka_connect))

    status = feed.reports.state("retrying")
    feed.reports.wait(running)
    feed.stop()

    assert "cannot do it now" in status.text


def test_a_stored_position_within_a_snapshot_is_reported(kafka_connect: FakeConnect) -> None:
    kafka_connect.offsets[NAME] = [{"partition": {}, "offset": {"snapshot": "INITIAL"}}]
    feed = run(feed_of(kafka_connect))

    feed.reports.state("snapshot")
    kafka_connect.offsets[NAME] = [{"partition": {}, "offset": {"lsn": 5}}]
    status = feed.reports.wait(running)
    feed.stop()

    assert status.text == ""


def test_nothing_is_asked_of_a_connector_when_the_feed_ends(kafka_connect: FakeConnect) -> None:
    feed = run(feed_of(kafka_connect))
    feed.reports.wait(running)
    before = list(kafka_connect.requests)

    feed.stop()

    assert kafka_connect.requests == before
    assert kafka_connect.states[NAME] == "RUNNING"


def test_basic_authentication_is_used_and_a_refusal_explained(kafka_connect: FakeConnect) -> None:
    kafka_connect.credentials = ("flows", PASSWORD)
    right = ConnectClient(kafka_connect.url, "flows", PASSWORD)
    in_url = ConnectClient(kafka_connect.url.replace("//", f"//flows:{PASSWORD}@"))
    wrong = ConnectClient(kafka_connect.url, "flows", "another")

    assert right.get("connector-plugins")
    assert in_url.get("connector-plugins")
    with pytest.raises(SettingsError, match="refuses this user") as caught:
        wrong.get("connector-plugins")
    assert "another" not in str(caught.value)
    assert PASSWORD not in repr(in_url)


def test_an_address_where_nobody_answers_is_tried_again() -> None:
    client = ConnectClient(f"http://flows:{PASSWORD}@127.0.0.1:1")

    with pytest.raises(
        RetriableError, match=r"Kafka Connect at 127\.0\.0\.1:1 does not answer"
    ) as caught:
        client.get("connectors")
    assert PASSWORD not in str(caught.value)


def test_removing_says_whether_it_was_there(connector: Connector) -> None:
    connector.register({"connector.class": POSTGRES, "topic.prefix": "shop"})

    assert connector.remove() is True
    assert connector.remove() is False


@pytest.mark.parametrize(
    ("connector_state", "tasks", "standing"),
    [
        ("RUNNING", ["RUNNING"], "running"),
        ("RUNNING", [], "starting"),
        ("RUNNING", ["UNASSIGNED"], "starting"),
        ("RESTARTING", ["RUNNING"], "starting"),
        ("UNASSIGNED", [], "starting"),
        ("PAUSED", ["PAUSED"], "paused"),
        ("STOPPED", [], "paused"),
        ("FAILED", [], "failed"),
        ("RUNNING", ["RUNNING", "FAILED"], "failed"),
        ("PAUSED", ["FAILED"], "failed"),
    ],
)
def test_the_states_of_a_connector_and_its_tasks_are_one_standing(
    connector_state: str, tasks: list[str], standing: str
) -> None:
    answer = {
        "connector": {"state": connector_state},
        "tasks": [{"id": number, "state": state} for number, state in enumerate(tasks)],
    }

    assert read_status(answer).standing == standing


def test_the_innermost_cause_of_a_trace_is_told_without_its_stack() -> None:
    assert root_cause(TRACE).startswith("org.postgresql.util.PSQLException: ERROR: replication")
    assert root_cause("java.lang.OutOfMemoryError: Java heap space\n\tat x.y") == (
        "java.lang.OutOfMemoryError: Java heap space"
    )
    assert root_cause("") == ""
