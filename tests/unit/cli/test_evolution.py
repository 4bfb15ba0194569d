"""The commands for documents that change while there is state: `plan --against` and `reset`, and what `doctor` says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.cli.planning import plans_of
from headrace.runtime.contracts.broker import (
    ConsumerSettings,
    NewTopic,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.state.codec import encode
from headrace.runtime.state.shapes import SHAPE, shapes_in
from tests.unit.cli.conftest import Call, send
from tests.unit.running import _Everything

SALES = """
name: sales
stages:
  - {name: in, action: kafka, config: {topics: orders}, out: [totals, once]}
  - {name: totals, action: reduce, config: {key: event.user, aggregate: {n: count(), total: sum(event.amount)}}, out: sink}
  - {name: once, action: dedupe, config: {by: event.amount, within: 1h}, out: sink}
  - {name: sink, action: publish, config: {topic: totals}}
"""
TOTALS_CHANGELOG = "headrace.sales.totals.changelog"
REPARTITION = "headrace.sales.totals.repartition"
MINUTE = {"cleanup.policy": "delete", "retention.ms": "60000"}
FOREVER = {"retention.ms": "-1"}
COMPACTED = {"cleanup.policy": "compact"}
STAMPED = {"message.timestamp.type": "LogAppendTime"}
ANEW = (
    "give the stage another name to begin empty beside it, or throw its state away with"
    " `headrace reset sales.yaml --stage once`"
)
UNREAD = "records in it that were not read yet are lost, so let the flow catch up first"
ORDER = {"user": "u", "amount": 5}


@pytest.fixture
def before(call: Call, tmp_path: Path) -> str:
    """The earlier document."""
    (tmp_path / "sales.yaml").write_text(SALES)
    (tmp_path / "before.yaml").write_text(SALES)
    return "before.yaml"


@pytest.fixture
def run(call: Call, broker: MemoryBroker, before: str) -> str:
    """The flow has run, and left state; what it is compared against."""
    send(broker, "orders", ORDER)
    result = call("run", "sales.yaml", "--until-idle", "300ms")
    assert result.exit_code == 0, result.output
    return "group"


def change(tmp_path: Path, *changes: tuple[str, str]) -> None:
    text = SALES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "sales.yaml").write_text(text)


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {one["stage"]: one["status"] for flow in document["flows"] for one in flow["stages"]}


AGAINST = pytest.mark.parametrize("against", ["before", "run"])


@AGAINST
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ([("1h", "2h")], {"totals": "kept", "once": "kept"}, 0),
        ([("n: count(), ", "")], {"totals": "migrated", "once": "kept"}, 0),
        ([("event.user", "event.shop")], {"totals": "rebuild", "once": "kept"}, 1),
        ([("reduce, config: {key: event.user, aggregate: {n: count(), total: sum(event.amount)}}",
           "dedupe, config: {key: event.user, within: 1h}")], {"totals": "refused", "once": "kept"}, 1),
        ([("name: totals,", "name: sums,"), ("[totals, once]", "[sums, once]")],
         {"sums": "new", "once": "kept", "totals": "orphaned"}, 0),
    ],
)  # fmt: skip
def test_plan_against_tells_what_becomes_of_each_stage(
    call: Call,
    broker: MemoryBroker,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    against: str,
    changes: list[tuple[str, str]],
    status: dict[str, str],
    code: int,
) -> None:
    what = request.getfixturevalue(against)
    change(tmp_path, *changes)

    result = call("plan", "sales.yaml", "--against", what, "--json")

    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert statuses(document) == status
    assert document["can_roll_out"] is (code == 0)


def test_plan_against_a_document_tells_renames_and_settings(
    call: Call, before: str, tmp_path: Path
) -> None:
    change(
        tmp_path,
        ("name: totals,", "name: sums, renamed_from: totals,"),
        ("[totals, once]", "[sums, once]"),
        ("1h", "2h"),
    )

    result = call("plan", "sales.yaml", "--against", before)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "flow sales against before.yaml",
        "  renamed  sums  was 'totals'",
        "  kept     once  settings changed: within",
        "",
        "workers can go on with it",
    ]


def test_plan_against_says_what_to_do_and_what_to_delete(
    call: Call, before: str, tmp_path: Path
) -> None:
    change(
        tmp_path,
        ("name: totals,", "name: sums,"),
        ("[totals, once]", "[sums, once]"),
        ("{by: event.amount", "{key: event.user, by: event.amount"),
    )

    result = call("plan", "sales.yaml", "--against", before)

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "flow sales against before.yaml",
        "  new       sums    begins empty",
        "                    if it is 'totals' under another name, write renamed_from: totals",
        "  rebuild   once    key was the record's own, is event.user",
        f"                    {ANEW}",
        f"  orphaned  totals  is not there any more; {UNREAD}",
        "                    delete headrace.sales.totals.repartition, headrace.sales.totals.changelog",
        "",
        "a worker would refuse to start: 'once' of flow 'sales'",
    ]


def test_a_stage_that_is_renamed_again_names_its_first_name(
    call: Call, before: str, tmp_path: Path
) -> None:
    once = SALES.replace("name: totals,", "name: sums, renamed_from: totals,")
    (tmp_path / before).write_text(once.replace("[totals, once]", "[sums, once]"))
    change(
        tmp_path,
        ("name: totals,", "name: adds, renamed_from: sums,"),
        ("[totals, once]", "[adds, once]"),
    )

    result = call("plan", "sales.yaml", "--against", before)

    assert "write renamed_from: totals" in result.stdout


def test_flows_that_came_and_went_are_told(call: Call, before: str, tmp_path: Path) -> None:
    (tmp_path / "sales.yaml").write_text(SALES.replace("name: sales", "name: revenue"))

    document = json.loads(call("plan", "sales.yaml", "--against", before, "--json").stdout)

    assert [(one["flow"], one["is_new"], one["is_gone"]) for one in document["flows"]] == [
        ("revenue", True, False),
        ("sales", False, True),
    ]
    assert {one["status"] for one in document["flows"][1]["stages"]} == {"orphaned"}


def test_plan_against_a_group_tells_other_numbers_of_partitions(
    call: Call, broker: MemoryBroker, run: str
) -> None:
    broker.admin().add_partitions("orders", 3)

    result = call("plan", "sales.yaml", "--against", run)

    assert result.exit_code == 1
    assert "refused  once    has state in 2 partitions, and would read 3" in result.stdout


def test_plan_against_a_group_that_never_ran_begins_empty(
    call: Call, broker: MemoryBroker, before: str
) -> None:
    document = json.loads(call("plan", "sales.yaml", "--against", "group", "--json").stdout)

    assert document["flows"][0]["is_new"]
    assert set(statuses(document).values()) == {"new"}


def test_topics_of_a_flow_with_a_longer_name_are_not_taken_for_orphans(
    call: Call, broker: MemoryBroker, run: str
) -> None:
    admin = broker.admin()
    names = ["headrace.sales.eu.totals.changelog", "headrace.sales.asia.totals.changelog"]
    admin.create([NewTopic(name=name, partitions=1) for name in names])
    consumer = broker.consumer(ConsumerSettings(group="headrace.sales.eu", client_id="test"))
    consumer.subscribe(["orders"], _Everything())
    consumer.consume(1, 0)
    consumer.commit({TopicPartition("orders", 0): 0})
    consumer.close()

    document = json.loads(call("plan", "sales.yaml", "--against", run, "--json").stdout)

    assert statuses(document) == {"totals": "kept", "once": "kept", "asia.totals": "orphaned"}


def test_the_newest_shape_is_found_wherever_it_is(broker: MemoryBroker) -> None:
    broker.admin().create([NewTopic(name="log", partitions=3)])
    producer = broker.producer(ProducerSettings(client_id="test"))
    for partition, places in enumerate([(0,), (5, 25_000), ()]):
        for number in range(30_000):
            is_shape = number in places
            value = encode({"at": number} if is_shape else [number], None)
            producer.produce("log", value, SHAPE if is_shape else b"w%d" % number, partition)
    producer.flush(5)
    partitions = [TopicPartition("log", i) for i in range(3)]

    found = shapes_in(broker.reader("test", {}), broker.admin(), partitions)

    assert found == {partitions[0]: {"at": 0}, partitions[1]: {"at": 25_000}}


def test_reset_lets_a_stage_begin_empty_and_leaves_the_others(
    call: Call, broker: MemoryBroker, run: str, tmp_path: Path
) -> None:
    change(tmp_path, ("event.user", "event.shop"))
    refused = call("run", "sales.yaml", "--until-idle", "300ms")

    reset = call("reset", "sales.yaml", "--stage", "totals", "--yes", "--json")
    send(broker, "orders", {"user": "u", "shop": "s", "amount": 5})
    again = call("run", "sales.yaml", "--until-idle", "300ms")

    assert refused.exit_code == 3
    assert "key was event.user, is event.shop" in refused.stderr
    assert reset.exit_code == again.exit_code == 0, again.output
    deleted = {one["name"] for one in json.loads(reset.stdout)["deleted"]}
    assert deleted == {TOTALS_CHANGELOG, "headrace.sales.totals.repartition"}
    results = [value for value in sent(broker, "totals") if value.get("key") == "s"]
    assert [one["total"] for one in results] == [5]
    assert sum("shop" in value for value in sent(broker, "totals")) == 0  # known to `once`


def sent(broker: MemoryBroker, topic: str) -> list[Any]:
    reader = broker.reader("test", {})
    reader.assign({TopicPartition(topic, i): 0 for i in range(broker.admin().topics()[topic])})
    return [json.loads(one.value() or b"") for one in reader.read(1_000, 0)]


def test_reset_refuses_while_workers_run(call: Call, broker: MemoryBroker, run: str) -> None:
    consumer = broker.consumer(ConsumerSettings(group="headrace.sales", client_id="test"))
    consumer.subscribe(["orders"], _Everything())
    consumer.consume(1, 0)

    result = call("reset", "sales.yaml", "--stage", "totals", "--yes")

    assert result.exit_code == 1
    assert "stop the workers first" in result.stderr
    assert TOTALS_CHANGELOG in broker.admin().topics()


def test_reset_asks_before_it_deletes(call: Call, broker: MemoryBroker, run: str) -> None:
    result = call("reset", "sales.yaml", "--stage", "totals")

    assert result.exit_code == 130
    assert TOTALS_CHANGELOG in result.stdout
    assert TOTALS_CHANGELOG in broker.admin().topics()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a --stage"),
        (["--stage", "total", "--yes"], "did you mean 'totals'?"),
        (["--stage", "sink", "--yes"], "no stage 'sink' keeps state"),
        (["--stage", "totals", "--json"], "add --yes"),
        (["--stage", "totals", "--flow", "x"], "there is no flow 'x'"),
    ],
)
def test_reset_of_what_is_not_there_is_wrong_usage(
    call: Call, broker: MemoryBroker, before: str, words: list[str], said: str
) -> None:
    result = call("reset", "sales.yaml", *words)

    assert result.exit_code == 2
    assert said in result.stdout + result.stderr


def test_reset_deletes_what_no_stage_has_any_more(
    call: Call, broker: MemoryBroker, run: str, tmp_path: Path
) -> None:
    change(tmp_path, ("name: totals,", "name: sums,"), ("[totals, once]", "[sums, once]"))
    doctor = json.loads(call("doctor", "sales.yaml", "--json").stdout)

    result = call("reset", "sales.yaml", "--orphaned", "--yes")

    (left,) = [one for one in doctor["checks"] if one["name"] == "sales: left behind"]
    assert left["status"] == "warn"
    assert TOTALS_CHANGELOG in left["text"]
    assert result.exit_code == 0
    assert sorted(broker.admin().topics()) == [
        "headrace.sales.dead-letters",
        "headrace.sales.once.changelog",
        "orders",
        "totals",
    ]


@pytest.mark.parametrize(
    ("topic", "config", "name", "said"),
    [
        (TOTALS_CHANGELOG, MINUTE, "state", "deletes the state of stage 'totals' after 1m"),
        (TOTALS_CHANGELOG, {"cleanup.policy": "compact,delete"}, "state", "compact,delete"),
        (REPARTITION, MINUTE, "repartition topic", "keeps records for 1m"),
        (REPARTITION, FOREVER | COMPACTED, "repartition topic", "is compacted"),
        (REPARTITION, FOREVER | STAMPED, "repartition topic", "replaces event times"),
    ],
)
def test_doctor_fails_where_state_would_be_lost(
    call: Call,
    broker: MemoryBroker,
    before: str,
    topic: str,
    config: dict[str, str],
    name: str,
    said: str,
) -> None:
    broker.admin().create([NewTopic(name=topic, partitions=2, config=config)])

    result = call("doctor", "sales.yaml", "--json")

    failed = [one for one in json.loads(result.stdout)["checks"] if one["status"] == "fail"]
    assert result.exit_code == 1
    assert [one["name"] for one in failed] == [f"sales: {name}"]
    assert said in failed[0]["text"]


def test_doctor_is_content_with_state_and_says_when_it_is_in_other_partitions(
    call: Call, broker: MemoryBroker, run: str
) -> None:
    content = call("doctor", "sales.yaml", "--json")
    broker.admin().add_partitions("orders", 3)
    changed = call("doctor", "sales.yaml", "--json")

    assert content.exit_code == 0
    found = {one["name"]: one["text"] for one in json.loads(content.stdout)["checks"]}
    assert found["sales: state"] == "kept in 2 changelogs"
    (failed,) = [one for one in json.loads(changed.stdout)["checks"] if one["status"] == "fail"]
    assert failed["name"] == "sales: topics"
    assert "has state for 2 partitions, but reads 3 now" in failed["text"]


def test_topics_tells_the_roles_of_what_state_needs(
    call: Call, broker: MemoryBroker, run: str
) -> None:
    document = json.loads(call("topics", "sales.yaml", "--json").stdout)

    roles = {topic["name"]: topic["roles"] for topic in document["topics"]}
    assert roles[TOTALS_CHANGELOG] == ["sales: changelog"]
    assert roles["headrace.sales.totals.repartition"] == ["sales: repartition"]


def test_topics_tells_of_the_topics_of_letters_that_were_sent_back(
    call: Call, broker: MemoryBroker, run: str
) -> None:
    before = call("topics", "sales.yaml").stdout
    (plan,) = plans_of(["sales.yaml"], "headrace")
    replay = plan.replay_topic(plan.sub_topology_of("totals"))
    broker.admin().create([NewTopic(name=replay, partitions=1)])
    document = json.loads(call("topics", "sales.yaml", "--json").stdout)

    assert ".replay" not in before
    roles = {topic["name"]: topic["roles"] for topic in document["topics"]}
    assert roles[replay] == ["sales: replay"]


def test_plan_warns_of_late_records_that_their_topic_would_delete(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    windowed = (
        "{key: event.user, window: {tumbling: 1m}, emit: final, late: {topic: late}, aggregate"
    )
    (tmp_path / "sales.yaml").write_text(SALES.replace("{key: event.user, aggregate", windowed))
    day = {"retention.ms": "86400000"}
    broker.admin().create([NewTopic(name="late", partitions=1, config=day)])
    broker.admin().delete(["totals", "orders"])
    broker.admin().create(
        [NewTopic(name=name, partitions=1, config=FOREVER) for name in ("orders", "totals")]
    )
    send(broker, "orders", ORDER, timestamp=1_000)

    document = json.loads(call("plan", "sales.yaml", "--live", "--json").stdout)

    (warning,) = document["live_warnings"]
    assert "late records of stage 'totals' go to 'late', which keeps records for 1d" in warning
