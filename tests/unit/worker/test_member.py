"""A member of a group: what it commits, counts and gives up."""

from collections.abc import Mapping
from typing import Any

import pytest

from headrace.runtime.contracts.broker import NewTopic, Reaction, TopicPartition
from headrace.runtime.errors import (
    BrokerUnavailableError,
    DataLossError,
    FencedError,
    RestartError,
    TransactionError,
)
from headrace.runtime.task.commit import Step
from tests.unit.running import NOW_MS, Running, running

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in%s}, out: pass}
  - {name: pass, action: filter, config: {where: event.a > 0}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def flow(trigger: str = "", **given: Any) -> Running:
    return running(FLOW % trigger, **given)


def test_a_member_that_joins_anew_does_not_commit_what_was_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = flow()
    run.run({"a": 1})
    run.feed({"a": 2})
    run.member.step(0)

    def once(positions: Mapping[TopicPartition, int], metadata: Any) -> None:
        monkeypatch.undo()
        raise FencedError("the group has gone on")

    # As when the group's generation is over, but the member does not know it yet.
    monkeypatch.setattr(run.member._session.producer, "send_positions", once)
    run.drain()

    assert run.data("out") == [{"a": 1}, {"a": 2}]


def test_a_member_tells_how_far_it_is_behind() -> None:
    run = flow()
    for n in range(500):
        run.feed({"a": n})
    seen = []
    for _ in range(8):
        run.member.step(0)
        run.clock.advance(3)
        seen.append(run.member.behind.records)

    behind = [records[TopicPartition("in", 0)] for records in seen if records]
    assert behind[0] > 0
    assert behind == sorted(behind, reverse=True)
    assert behind[-1] == 0


def test_statistics_count_what_was_committed_and_not_what_was_aborted() -> None:
    run = flow()
    run.run({"a": 1}, {"b": 1})
    run.broker.faults.fail_next_commit()
    run.run({"a": 2}, {"b": 2})

    assert run.member.statistics.written == {("flow", "sink"): 2}
    assert run.member.statistics.failed == {("flow", "pass", "dead_letter"): 2}
    assert run.member.statistics.aborts == 1


def test_statistics_survive_that_a_member_joins_anew() -> None:
    run = flow()
    run.run({"a": 1})
    run.broker.faults.fence("headrace.flow.member")
    run.run({"a": 2})

    assert run.member.statistics.rejoins == 1
    assert run.member.statistics.written == {("flow", "sink"): 2}


def test_ten_transactions_that_fail_in_a_row_end_the_member() -> None:
    run = flow()
    run.run({"a": 1})
    for _ in range(11):
        run.broker.faults.fail_next_commit()
    run.feed({"a": 2})

    with pytest.raises(RestartError, match="10 transactions in a row failed"):
        run.drain()


@pytest.mark.parametrize("call", ["send_positions", "commit_transaction"])
def test_a_member_lives_through_an_outage_longer_than_one_of_its_calls(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    run = flow()
    run.run({"a": 1})
    run.feed({"a": 2})
    run.member.step(0)

    def once(*_: Any) -> None:
        monkeypatch.undo()
        raise BrokerUnavailableError("no broker answered")

    monkeypatch.setattr(run.member._session.producer, call, once)
    run.drain()

    assert run.data("out") == [{"a": 1}, {"a": 2}]
    assert run.member.statistics.rejoins == 1


def test_a_member_ends_when_no_broker_answers_a_new_session_either() -> None:
    run = flow()
    run.feed({"a": 1})
    run.member.step(0)
    run.member.step(0)
    run.broker.stop()

    with pytest.raises(BrokerUnavailableError):
        run.drain()

    run.member.abandon()
    run.broker.start()
    assert run.data("out") == []


def test_a_member_that_stops_commits_what_it_has_done() -> None:
    run = flow()
    run.feed({"a": 1})
    run.member.step(0)
    run.member.step(0)

    run.member.close()

    assert run.data("out") == [{"a": 1}]


def test_a_member_whose_last_commit_meets_no_broker_closes_its_clients() -> None:
    run = flow()
    run.feed({"a": 1})
    run.member.step(0)
    run.member.step(0)
    run.member.stop()
    run.broker.stop()

    with pytest.raises(BrokerUnavailableError):
        run.member.run()

    run.broker.start()
    assert run.data("out") == []
    with pytest.raises(RuntimeError, match="closed"):
        run.member._session.producer.produce("out", b"1")


@pytest.mark.parametrize("fatal", Step)
def test_a_member_that_dies_in_any_step_of_the_commit_leaves_every_result_once(
    fatal: Step,
) -> None:
    run = flow()

    def die(step: Step) -> None:
        if step is fatal:
            raise KeyboardInterrupt

    run.reached = die
    run.feed({"a": 1})
    with pytest.raises(KeyboardInterrupt):
        run.drain()
    run.reached = lambda step: None
    run.clock.advance(60)  # the session of the dead member ends
    run.drain(run.joined())

    assert run.data("out") == [{"a": 1}]


def test_latest_means_the_first_start_and_not_the_last_one() -> None:
    run = flow(", start: latest")
    run.feed({"a": 1})
    run.drain()
    run.member.close()
    run.feed({"a": 2})
    again = run.joined()
    run.drain(again)

    assert run.data("out") == [{"a": 2}]


@pytest.mark.parametrize(
    ("start", "found"),
    [
        ("earliest", [1, 2, 3]),
        ("latest", []),
        ("-1h", [2, 3]),
        (NOW_MS - 1_000, [3]),
        ("2023-11-14T21:43:20Z", [2, 3]),
        ("-36500d", [1, 2, 3]),
    ],
)
def test_a_new_group_begins_where_its_trigger_says(start: object, found: list[int]) -> None:
    run = flow(f", start: {start}")
    for a, back_ms in ((1, 7_200_000), (2, 1_800_000), (3, 0)):
        run.feed({"a": a}, timestamp=NOW_MS - back_ms)
    run.drain()

    assert [one["a"] for one in run.data("out")] == found


def test_records_that_retention_deleted_stop_the_flow() -> None:
    run = flow()
    run.run({"a": 1})
    run.member.close()
    for a in (2, 3):
        run.feed({"a": a})
    run.broker.admin().delete_records({TopicPartition("in", 0): 2})

    with pytest.raises(DataLossError, match=r"in\[0\]"):
        run.drain(run.joined())


@pytest.mark.parametrize("is_first", [True, False])
def test_on_data_loss_continue_goes_on_with_what_is_left(is_first: bool) -> None:
    run = flow(", on_data_loss: continue")
    run.feed({"a": 1})
    if not is_first:
        run.drain()
    run.member.step(0) if is_first else None
    for a in (2, 3, 4):
        run.feed({"a": a})
    run.broker.admin().delete_records({TopicPartition("in", 0): 3})
    run.drain()

    assert run.data("out")[-1] == {"a": 4}
    assert len(run.data("out")) <= 2


def test_records_older_than_the_sinks_retention_stop_the_flow_before_they_are_written() -> None:
    run = running(FLOW % "", topics=["in"], create_topics=True)
    run.broker.admin().delete(["out"])
    run.broker.admin().create(
        [NewTopic(name="out", partitions=1, config={"retention.ms": "3600000"})]
    )
    run = Running(run.plans, settings=run.settings, clock=run.clock, broker=run.broker)
    run.feed({"a": 1}, timestamp=NOW_MS - 3_600_001)

    with pytest.raises(DataLossError) as caught:
        run.drain()

    assert str(caught.value).startswith(
        "flow 'flow': stage 'sink' would write to 'out' with event times older than the 1h for which"
        " that topic keeps records, beginning with in[0]@0;"
    )


def test_a_partition_that_moves_is_committed_before_it_goes() -> None:
    run = flow(partitions=2)
    run.member.step(0)
    for partition in (0, 1):
        run.feed({"a": partition + 1}, partition=partition)
    run.member.step(0)
    other = run.joined("other")
    other.step(0)

    run.member.step(0)
    other.step(0)

    assert [one["a"] for one in run.data("out")] == [1, 2]
    assert len(run.member.statistics.assignment) == len(other.statistics.assignment) == 1
    run.drain(run.member, other)
    assert [one["a"] for one in run.data("out")] == [1, 2]


def test_a_partition_that_was_revoked_while_its_commit_failed_is_never_committed_again() -> None:
    run = flow()
    run.feed({"a": 1})
    run.member.step(0)
    (partition,) = run.member.statistics.assignment
    run.broker.faults.fail_next_commit()

    with pytest.raises(TransactionError):
        run.member.revoked([partition])

    # Its next owner may have committed by now: this member has nothing to say about it any more.
    assert partition not in run.member._committed
    assert partition not in run.member._starts.uncommitted


def test_a_client_that_fails_for_good_inside_of_a_poll_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = flow()
    run.run({"a": 1})
    run.feed({"a": 2})

    class ClientError(Exception):
        """What a client raises by itself."""

    def failing(timeout_s: float) -> int:
        raise ClientError

    def reaction(error: BaseException) -> Reaction | None:
        return Reaction.FENCED if isinstance(error, ClientError) else None

    monkeypatch.setattr(run.broker, "reaction", reaction)
    monkeypatch.setattr(run.member._session.producer, "poll", failing)
    run.drain()

    assert run.data("out") == [{"a": 1}, {"a": 2}]
    assert run.member.statistics.rejoins == 1
