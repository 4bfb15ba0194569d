"""What is Kafka's own: client settings, brokers that do not answer, protocols, log lines."""

import logging
import re

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.kafka import admin as admin_module
from headrace.connectors.kafka import consumer as consumer_module
from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import client_settings, redact
from headrace.connectors.kafka.errors import reaction, transaction_failure
from headrace.connectors.kafka.producer import producer_configuration
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings
from headrace.runtime.contracts.broker import (
    Admin,
    ConsumerSettings,
    NewTopic,
    ProducerSettings,
    Reaction,
    TopicPartition,
)
from headrace.runtime.errors import (
    BrokerUnavailableError,
    FencedError,
    HeadraceError,
    RestartError,
    SettingsError,
    TransactionError,
)
from tests.contract.world import WAIT_S, Member

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize(
    "name",
    ["group.id", "transactional.id", "consumer.isolation.level", "producer.enable.idempotence"],
)
def test_a_setting_that_the_engine_decides_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(name)):
        KafkaBroker(NOBODY, {name: "mine"})
    with pytest.raises(SettingsError, match=re.escape(name)):
        KafkaBroker(NOBODY).consumer(
            ConsumerSettings(group="g", client_id="c", client={name: "mine"})
        )


def test_an_unknown_setting_is_refused_with_a_suggestion() -> None:
    broker = KafkaBroker(NOBODY, {"sasl.usernam": "me"})

    for make in (
        broker.admin,
        lambda: broker.consumer(ConsumerSettings(group="g", client_id="c")),
        lambda: broker.producer(ProducerSettings(client_id="c")),
    ):
        with pytest.raises(SettingsError, match=r"'sasl\.usernam'; did you mean 'sasl\.username'"):
            make()


def test_a_value_that_is_refused_is_shown_unless_it_is_secret() -> None:
    broker = KafkaBroker(NOBODY, {"security.protocol": "none", "sasl.password": "none"})

    with pytest.raises(SettingsError, match=r"security\.protocol") as caught:
        broker.admin()
    assert '"none"' not in str(caught.value)
    assert redact("password hunter2", {"ssl.key.password": "hunter2"}) == "password ***"


def test_brokers_must_be_named() -> None:
    with pytest.raises(SettingsError, match="brokers"):
        KafkaBroker(" ")


def test_a_prefix_directs_a_setting_to_one_kind_of_client() -> None:
    client = {
        "linger.ms": "1",
        "fetch.min.bytes": "2",
        "client.rack": "r",
        "consumer.socket.timeout.ms": "3",
        "socket.timeout.ms": "4",
    }

    assert client_settings(client, "consumer") == {
        "fetch.min.bytes": "2",
        "client.rack": "r",
        "socket.timeout.ms": "3",
    }
    assert client_settings(client, "producer") == {
        "linger.ms": "1",
        "client.rack": "r",
        "socket.timeout.ms": "4",
    }
    assert client_settings(client, "admin") == {"client.rack": "r", "socket.timeout.ms": "4"}


def test_a_users_setting_wins_over_a_default_of_the_engine() -> None:
    configuration = producer_configuration(
        NOBODY, {"linger.ms": "50"}, ProducerSettings(client_id="c", compression="zstd")
    )

    assert configuration["linger.ms"] == "50"
    assert configuration["compression.type"] == "zstd"


def test_brokers_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_module, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(consumer_module, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(consumer_module, "_OPEN_TRANSACTION_S", 0.3)
    broker = KafkaBroker(NOBODY)
    admin = broker.admin()
    consumer = broker.consumer(ConsumerSettings(group="g", client_id="c"))
    producer = broker.producer(ProducerSettings(client_id="c", transactional_id="t"))
    plain = broker.producer(ProducerSettings(client_id="c"))
    plain.produce("topic", b"x")

    for ask in (
        admin.topics,
        admin.cluster,
        lambda: admin.describe(["topic"]),
        lambda: consumer.committed([TopicPartition("topic", 0)]),
        lambda: producer.init_transactions(0.3),
        lambda: plain.flush(0.1),
    ):
        with pytest.raises(BrokerUnavailableError, match=rf"no broker answered at {NOBODY}"):
            ask()
    for one in (consumer, producer, plain, admin):
        one.close()


def test_an_outage_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log = KafkaLog("client", NOBODY)
    with caplog.at_level(logging.INFO, logger="headrace.kafka"):
        for _ in range(3):
            log.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
            log.log(logging.ERROR, "%s", "FAIL", "client", "Connect failed")
        log.answered()
        log.answered()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert NOBODY in caplog.text


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Reaction.RECORD),
        (KafkaError._INVALID_ARG, Reaction.RECORD),
        (KafkaError._UNKNOWN_TOPIC, Reaction.RECORD),
        (KafkaError._UNKNOWN_PARTITION, Reaction.RECORD),
        (KafkaError._STATE, Reaction.TRANSACTION),
        (KafkaError._FENCED, Reaction.FENCED),
        (KafkaError._FATAL, Reaction.FENCED),
        (KafkaError._FAIL, Reaction.RESTART),
    ],
)
def test_each_exception_of_the_client_has_a_reaction(code: int, expected: Reaction) -> None:
    assert reaction(KafkaException(KafkaError(code))) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(KafkaError._FENCED, fatal=True), FencedError),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), FencedError),
        (KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True), FencedError),
        (KafkaError(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True), FencedError),
        (KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True), FencedError),
        (KafkaError(KafkaError.INVALID_RECORD, txn_requires_abort=True), TransactionError),
        (KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True), RestartError),
    ],
)
def test_each_error_of_a_transaction_has_its_kind(
    error: KafkaError, expected: type[Exception]
) -> None:
    assert type(transaction_failure(error, "commit")) is expected


@pytest.mark.kafka
def test_closing_never_waits_for_a_broker_that_is_gone(own_kafka: LocalKafka) -> None:
    broker = KafkaBroker(own_kafka.brokers)
    admin = broker.admin()
    admin.create([NewTopic(name="topic", partitions=1)])
    producer = broker.producer(ProducerSettings(client_id="p", transactional_id="t"))
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce("topic", b"x")
    producer.flush(WAIT_S)
    consumer = broker.consumer(ConsumerSettings(group="g", client_id="c"))
    member = Member(consumer, ["topic"])
    while not member.owned:
        member.step()
    own_kafka.kill()
    producer.produce("topic", b"y")

    with pytest.raises(BrokerUnavailableError):
        producer.commit_transaction(0.5)
    producer.close()
    consumer.close()
    with pytest.raises(RuntimeError, match="closed"):
        producer.produce("topic", b"z")
    assert member.told("revoked")


@pytest.mark.kafka
def test_clients_go_on_after_a_broker_was_away(own_kafka: LocalKafka) -> None:
    broker = KafkaBroker(own_kafka.brokers)
    broker.admin().create([NewTopic(name="topic", partitions=1)])
    producer = broker.producer(ProducerSettings(client_id="p"))
    member = Member(broker.consumer(ConsumerSettings(group="g", client_id="c")), ["topic"])
    while not member.owned:
        member.step()
    producer.produce("topic", b"before")
    producer.flush(WAIT_S)
    own_kafka.kill()
    producer.produce("topic", b"while it was away")
    member.step()
    own_kafka.restart()
    producer.flush(WAIT_S)
    while len(member.seen) < 2:
        member.step()

    assert member.values == [b"before", b"while it was away"]
    producer.close()
    member.consumer.close()


@pytest.mark.kafka
def test_groups_can_be_asked_for_while_a_broker_goes_and_comes(
    own_kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_module, "ANSWER_TIMEOUT_S", 1.0)
    broker = KafkaBroker(own_kafka.brokers)
    admin = broker.admin()
    admin.create([NewTopic(name="topic", partitions=1)])
    member = Member(broker.consumer(ConsumerSettings(group="g", client_id="c")), ["topic"])
    while not member.owned:
        member.step()
    before = admin.group_members("g")
    own_kafka.kill()
    for ask in (admin.group_members, admin.delete_group):
        # The first may still learn that the connection is gone; the second waits, as it would for a coordinator that moves.
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError):
                ask("g")
    own_kafka.restart()
    while not member.step() and not _is_answered(admin):
        pass

    assert [one.assignment for one in before] == [member.owned]
    member.consumer.close()
    admin.close()


def _is_answered(admin: Admin) -> bool:
    try:
        return bool(admin.group_members("g"))
    except HeadraceError:
        return False


@pytest.mark.kafka
def test_auto_falls_back_to_the_classic_protocol() -> None:
    properties = {"group.coordinator.rebalance.protocols": "classic"}
    with LocalKafka(LocalKafkaSettings(properties=properties)) as kafka:
        broker = KafkaBroker(kafka.brokers)
        broker.admin().create([NewTopic(name="topic", partitions=2)])
        members = [
            Member(broker.consumer(ConsumerSettings(group="g", client_id=name)), ["topic"])
            for name in ("one", "two")
        ]
        while not all(len(member.owned) == 1 for member in members):
            for member in members:
                member.step()
        for member in members:
            member.consumer.close()

        assert members[0].told("revoked")
