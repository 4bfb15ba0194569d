"""The topics of flows: found, created, asked for, and those that records name."""

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.errors import SettingsError
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.topics import ensure_topics
from tests.unit.running import plans_of, running

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: orders}, out: far}
  - {name: far, action: noop, link: topic, out: sink}
  - {name: sink, action: publish, config: {topic: big-orders}}
"""
NAMED = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: sink}
  - {name: sink, action: publish, config: {topic: "${event.to}", value: event.a, %s}}
"""


def created(*existing: NewTopic, **settings: object) -> MemoryBroker:
    broker = MemoryBroker()
    broker.admin().create(existing)
    ensure_topics(
        broker.admin(),
        plans_of(FLOW),
        WorkerSettings.model_validate({"engine": "memory", **settings}),
    )
    return broker


def test_every_missing_topic_is_asked_for_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        created(NewTopic(name="order", partitions=1))

    assert str(caught.value).splitlines() == [
        "flow 'flow' reads topic 'orders', which does not exist; did you mean 'order'?",
        "flow 'flow' writes to topic 'big-orders', which does not exist; did you mean 'order'?",
        "create what is missing, or start the worker with --create-topics",
    ]


def test_topics_of_headrace_are_created_with_the_sources_partitions_and_kept_for_ever() -> None:
    broker = created(NewTopic(name="orders", partitions=3), NewTopic(name="big-orders"))
    names = ["headrace.flow.far.link", "headrace.flow.dead-letters"]

    found = broker.admin().describe(names)

    assert [(found[name].partitions, found[name].retention_ms) for name in names] == [(3, -1)] * 2


def test_created_outputs_take_and_keep_what_the_sources_do() -> None:
    config = {"max.message.bytes": "5000000", "retention.ms": "12345"}
    broker = created(NewTopic(name="orders", partitions=2, config=config), create_topics=True)

    found = broker.admin().describe(["big-orders"])["big-orders"]

    assert (found.partitions, found.message_bytes_max, found.retention_ms) == (2, 5_000_000, 12345)


def test_existing_topics_are_left_as_they_are() -> None:
    broker = created(
        NewTopic(name="orders", partitions=3),
        NewTopic(name="big-orders", partitions=1),
        NewTopic(name="headrace.flow.far.link", partitions=2),
        create_topics=True,
    )

    assert broker.admin().topics()["headrace.flow.far.link"] == 2
    assert broker.admin().topics()["big-orders"] == 1


@pytest.mark.parametrize("name", ["not a name", "..", "x" * 250, "", "naïve", 5, None, ["a"]])
@pytest.mark.parametrize("create", [True, False])
def test_a_record_that_names_no_topic_fails_alone_and_unheard(
    name: object, create: bool, caplog: pytest.LogCaptureFixture
) -> None:
    run = running(NAMED % "", topics=["in", "good"], create_topics=create)

    run.run({"to": name, "a": 1}, {"to": "good", "a": 2})

    assert run.data("good") == [2]
    assert len(run.dead_letters) == 1
    assert f"'{name}'" not in caplog.text or name == ""


def test_a_topic_that_a_record_names_is_created_where_that_is_allowed() -> None:
    run = running(NAMED % "", topics=["in"], partitions=3)

    run.run({"to": "fresh", "a": 1})

    assert run.data("fresh") == [1]
    assert run.broker.admin().topics()["fresh"] == 3


def test_a_missing_topic_is_told_in_the_dead_letter_and_found_once_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = running(NAMED % "", topics=["in"], create_topics=False)
    run.run({"to": "later", "a": 1})
    run.broker.admin().create([NewTopic(name="later", partitions=1)])
    run.clock.advance(6)
    run.run({"to": "later", "a": 2})

    assert run.data("later") == [2]
    (letter,) = run.dead_letters
    assert (letter.headers["headrace-error"] or b"").startswith(b"topic 'later' does not exist;")
    assert "later" not in caplog.text


@pytest.mark.parametrize("partition", [-1, 2, 2**31, 1.0, True, "0", None])
def test_a_partition_that_is_not_there_fails_the_record_alone(partition: object) -> None:
    run = running(
        FLOW.replace("big-orders", "big-orders, partition: event.p"),
        topics=["orders", "big-orders"],
        partitions=2,
    )

    run.run({"p": partition}, {"p": 1}, topic="orders")

    assert run.data("big-orders") == [{"p": 1}]
    assert run.member.statistics.aborts == 0
    assert len(run.dead_letters) == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_partition_that_was_added_later_is_found(named: bool) -> None:
    text = (
        NAMED % "partition: event.p"
        if named
        else NAMED.replace("${event.to}", "good") % ("partition: event.p")
    )
    run = running(text, topics=["in", "good"])
    run.run({"to": "good", "a": 1, "p": 0})
    run.broker.admin().add_partitions("good", 2)
    run.run({"to": "good", "a": 2, "p": 1})

    assert run.data("good") == [1, 2]


@pytest.mark.parametrize(
    ("small", "big"), [("1048588", "5000000"), ("5000", "1048588"), ("2000000", "5000000")]
)
@pytest.mark.parametrize("where", ["value", "key", "headers"])
def test_a_record_larger_than_its_topic_takes_fails_alone(small: str, big: str, where: str) -> None:
    run = running(
        """
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: [small, big]}
          - {name: small, action: publish, config: {topic: small}}
          - {name: big, action: publish, config: {topic: big}}
        """,
        topics=["in"],
    )
    admin = run.broker.admin()
    admin.delete(["in", "small", "big", "headrace.flow.dead-letters"])
    admin.create(
        [
            NewTopic(name=name, partitions=1, config={"max.message.bytes": size})
            for name, size in (
                ("in", "9000000"),
                ("small", small),
                ("big", big),
                ("headrace.flow.dead-letters", "9000000"),
            )
        ]
    )
    run.topics = ensure_topics(admin, run.plans, run.settings)
    text = "ä" * (int(small) // 2 + 10)
    fed = {
        "value": ([text], None, None),
        "key": ([], text, None),
        "headers": ([], None, [("h", text.encode())]),
    }
    value, key, headers = fed[where]
    run.feed(value, key=key, headers=headers)
    run.feed([1])

    run.drain()

    assert run.data("small") == [[1]]
    assert len(run.data("big")) == 2
    assert run.member.statistics.aborts == 0
    assert [one.headers["headrace-stage"] for one in run.dead_letters] == [b"small"]
