"""What a schedule writes, whatever happens to who writes it."""

import logging
from collections.abc import Iterable
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.connectors.schedule import Schedule
from headrace.runtime.contracts.broker import ConsumerSettings, TopicPartition
from headrace.runtime.errors import HeadraceError, RetriableError, TransactionError
from tests.unit.connectors.schedule.place import TOPIC, ScheduleWorld, ms, schedule

EVERY = {"every": "10m"}
TICKS = TopicPartition(TOPIC, 0)


@pytest.fixture
def world() -> ScheduleWorld:
    return ScheduleWorld()


class FromTheBeginning:
    """Reads what nobody has committed yet."""

    def assigned(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """There is nothing to commit."""

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """There is nothing to commit."""


def process(world: ScheduleWorld, group: str = "headrace.daily") -> None:
    """The flow processes all ticks, and commits behind the last one, which is before the mark of its transaction."""
    consumer = world.broker.consumer(ConsumerSettings(group=group, client_id="flow"))
    consumer.subscribe([TOPIC], FromTheBeginning())
    consumed = consumer.consume(100, 0)
    consumer.commit({TICKS: consumed[-1].offset() + 1})
    consumer.close()


def test_a_tick_tells_when_it_was_due(world: ScheduleWorld) -> None:
    ticker = world.owner(cron="30 13 * * *", timezone="Europe/Berlin")

    world.go_to("2026-01-31T12:30:05Z", ticker)

    (message,) = world.messages
    assert world.events == [
        {
            "schedule": "daily.tick",
            "due": "2026-01-31T12:30:00Z",
            "due_ms": ms("2026-01-31T12:30:00Z"),
            "local": "2026-01-31T13:30:00+01:00",
            "missed": 0,
        }
    ]
    assert message.key() == b"daily.tick"
    assert message.timestamp()[1] == ms("2026-01-31T12:30:00Z")
    assert message.headers() == [("schedule-id", b"2026-01-31T12:30:00Z")]


def test_data_makes_the_event(world: ScheduleWorld) -> None:
    ticker = world.owner(**EVERY, data={"day": "${event.due[:10]}", "missed": "${event.missed}"})

    world.go_to("2026-01-31T12:10:00Z", ticker)

    assert world.events == [{"day": "2026-01-31", "missed": 0}]


def test_each_due_time_fires_once_though_owners_change(world: ScheduleWorld) -> None:
    first = world.owner(**EVERY)
    world.go_to("2026-01-31T12:10:00Z", first)
    second = world.owner(**EVERY)
    world.clock.advance(600)

    with pytest.raises(HeadraceError):
        first.step()
    second.step()

    assert world.due == ["2026-01-31T12:10:00Z", "2026-01-31T12:20:00Z"]


def test_a_tick_whose_commit_failed_is_written_by_the_next_owner(world: ScheduleWorld) -> None:
    ticker = world.owner(**EVERY)
    world.broker.faults.fail_next_commit()
    world.clock.advance(600)

    with pytest.raises(TransactionError):
        ticker.step()
    assert world.due == []
    world.owner(**EVERY).step()

    assert world.due == ["2026-01-31T12:10:00Z"]


def test_a_schedule_that_never_ran_has_missed_nothing(world: ScheduleWorld) -> None:
    ticker = world.owner(**EVERY, start="2025-01-01T00:00:00Z")

    assert ticker.step() == 600
    assert world.due == []


def test_what_was_missed_before_the_first_tick_is_known(world: ScheduleWorld) -> None:
    world.owner(**EVERY).close()
    world.clock.advance(1_300)

    world.owner(**EVERY).step()

    assert [(e["due"], e["missed"]) for e in world.events] == [("2026-01-31T12:20:00Z", 1)]


def test_other_times_begin_now(world: ScheduleWorld) -> None:
    world.owner(**EVERY).close()
    world.clock.advance(3_600)

    ticker = world.owner(every="1h")

    assert ticker.step() == 3_600
    assert world.due == []


def missed_hour(world: ScheduleWorld, **config: Any) -> list[tuple[str, int]]:
    world.owner(**EVERY).close()
    world.clock.advance(3_700)
    ticker = world.owner(**EVERY, **config)
    while not ticker.step():
        pass
    return [(event["due"][11:16], event["missed"]) for event in world.events]


def test_misfire_once_fires_once_for_all(world: ScheduleWorld) -> None:
    assert missed_hour(world) == [("13:00", 5)]


def test_misfire_all_fires_them_in_their_order(world: ScheduleWorld) -> None:
    found = missed_hour(world, misfire="all")

    assert found == [(f"12:{minute}0", 0) for minute in range(1, 6)] + [("13:00", 0)]


def test_misfire_all_has_a_bound(world: ScheduleWorld, caplog: pytest.LogCaptureFixture) -> None:
    assert missed_hour(world, misfire="all", misfire_limit=2) == [("12:50", 4), ("13:00", 0)]
    assert "only the latest 2 fire" in caplog.text


def test_misfire_skip_lets_what_is_late_go(
    world: ScheduleWorld, caplog: pytest.LogCaptureFixture
) -> None:
    assert missed_hour(world, misfire="skip") == []
    assert "misfire: skip" in caplog.text


def test_misfire_skip_fires_what_is_within_the_tolerance(world: ScheduleWorld) -> None:
    assert missed_hour(world, misfire="skip", tolerance="2m") == [("13:00", 5)]


def test_overlap_skip_lets_a_tick_go_while_the_flow_is_busy(
    world: ScheduleWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ticker = world.owner(**EVERY, overlap="skip")
    world.go_to("2026-01-31T12:10:00Z", ticker)
    world.go_to("2026-01-31T12:20:00Z", ticker)
    process(world)

    world.go_to("2026-01-31T12:30:00Z", ticker)

    assert [due[11:16] for due in world.due] == ["12:10", "12:30"]
    assert world.reports[-1].figures["skipped"] == 1
    assert "overlap: skip" in caplog.text


def test_overlap_wait_fires_when_the_flow_is_through(world: ScheduleWorld) -> None:
    world.group = "shared"
    ticker = world.owner(**EVERY, overlap="wait")
    world.go_to("2026-01-31T12:10:00Z", ticker)
    world.clock.advance(700)
    ticker.step()
    assert len(world.due) == 1
    assert world.reports[-1].state == "waiting"
    process(world, "shared")

    ticker.step()

    assert [due[11:16] for due in world.due] == ["12:10", "12:20"]


def test_overlap_wait_and_misfire_all_fire_one_after_the_other(world: ScheduleWorld) -> None:
    world.owner(**EVERY).close()
    world.clock.advance(1_900)
    ticker = world.owner(**EVERY, overlap="wait", misfire="all")

    ticker.step()
    ticker.step()

    assert [due[11:16] for due in world.due] == ["12:10"]


def test_a_schedule_ends(world: ScheduleWorld) -> None:
    ticker = world.owner(**EVERY, end="2026-01-31T12:20:00Z")

    world.go_to("2026-01-31T14:00:00Z", ticker)

    assert len(world.due) == 2
    assert world.reports[-1].text == "the schedule is over"


def test_a_clock_that_was_set_back_fires_nothing_twice(world: ScheduleWorld) -> None:
    ticker = world.owner(**EVERY)
    world.go_to("2026-01-31T12:10:00Z", ticker)
    world.clock._now_ms = ms("2026-01-31T12:00:00Z")

    assert ticker.step() == 1_200
    assert len(world.due) == 1


def test_a_rare_schedule_keeps_its_transactional_id_alive(world: ScheduleWorld) -> None:
    ticker = world.owner(cron="@yearly")
    positions = TopicPartition("headrace.daily.tick.positions", 0)
    before = world.broker.admin().ends([positions])[positions]
    world.clock.advance(7 * 3_600)

    ticker.step()

    assert world.broker.admin().ends([positions])[positions] > before
    assert world.due == []


def test_the_feed_runs_until_it_is_stopped(world: ScheduleWorld) -> None:
    place = world.place()
    feed = schedule(**EVERY).feed()
    world.owner(**EVERY).close()
    world.clock.advance(600)

    def report_and_stop(status: Any) -> None:
        if status.figures.get("ticks"):
            place.stopped.set()

    object.__setattr__(place, "report", report_and_stop)
    thread = Thread(target=feed.run, args=(place,))
    thread.start()
    thread.join(30)

    assert not thread.is_alive()
    assert world.due == ["2026-01-31T12:10:00Z"]


def test_a_feed_whose_commit_failed_asks_to_be_run_again(world: ScheduleWorld) -> None:
    world.broker.faults.fail_next_commit()

    with pytest.raises(RetriableError, match="not committed"):
        schedule(**EVERY).feed().run(world.place())


def test_the_topic_is_named_after_the_stage_and_has_one_partition() -> None:
    action = schedule(**EVERY)

    assert action.source().topics == (TOPIC,)
    assert [(one.name, one.partitions) for one in action.feed().topics()] == [(TOPIC, 1)]
    assert schedule(**EVERY, topic="mine").source().topics == ("mine",)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "either 'cron' or 'every'"),
        ({"cron": "* * * * *", "every": "1m"}, "either 'cron' or 'every'"),
        ({"every": "500ms"}, "at least 1s"),
        ({"every": "1m", "jitter": "1m"}, "shorter than the period of 1m"),
        ({"every": "1m", "timezone": "Europe/Berlni"}, "did you mean 'Europe/Berlin'"),
        ({"every": "1m", "timezone": "../etc/passwd"}, "not known here"),
        ({"every": "1m", "data": "${secret.KEY}"}, "nothing but 'event'"),
        ({"every": "1m", "topic": "a b"}, "topic's name"),
        ({"cron": "61 * * * *"}, "cron: the field for the minute"),
        ({"every": "1m", "start": "2026-02-01", "end": "2026-01-01"}, "before 'start'"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_told(config: dict[str, Any], said: str) -> None:
    problems = list(Schedule(Schedule.Config.model_validate(config)).problems())

    assert any(said in problem for problem in problems), problems


def test_unknown_policies_are_refused() -> None:
    with pytest.raises(ValidationError):
        Schedule.Config.model_validate({**EVERY, "misfire": "never"})
