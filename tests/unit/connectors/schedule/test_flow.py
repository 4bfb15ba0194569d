"""Schedules and manual triggers in a flow."""

from threading import Event

from headrace.connectors.schedule.feed import ScheduleFeed
from headrace.connectors.schedule.ticker import Ticker
from headrace.runtime.plan import feeds_of
from headrace.runtime.worker.feeds import place_of
from tests.unit.running import Running, running

FLOW = """
name: daily
stages:
  - {name: tick, action: schedule, config: {every: 10m, data: {day: "${event.due[:10]}"}, overlap: skip}, out: noted}
  - {name: ask, action: manual, out: noted}
  - {name: noted, action: map, link: topic, config: {set: {by: trigger.topic}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def ticker_of(run: Running) -> Ticker:
    (plan,) = run.plans
    feed = dict(feeds_of(plan))["tick"]
    assert isinstance(feed, ScheduleFeed)
    place = place_of(
        plan,
        "tick",
        feed,
        settings=run.settings,
        broker=run.broker,
        values=run.values,
        clock=run.clock,
        stopped=Event(),
        report=lambda status: None,
    )
    ticker = feed.ticker(place)
    ticker.begin()
    return ticker


def test_ticks_and_requests_start_runs() -> None:
    run = running(FLOW)
    ticker = ticker_of(run)
    run.clock.advance(600)
    ticker.step()
    run.feed({"day": "asked"}, "daily.ask")

    run.drain()

    found = sorted((one["day"], one["by"]) for one in run.data("out"))
    assert found == [("2023-11-14", "daily.tick"), ("asked", "daily.ask")]


def test_a_tick_in_a_topic_between_stages_is_still_underway() -> None:
    run = running(FLOW)
    ticker = ticker_of(run)
    for _ in range(2):
        run.clock.advance(600)
        ticker.step()
    ticks_while_waiting = len(run.read("daily.tick"))
    while not run.read("headrace.daily.noted.link"):
        run.member.step(0)
        run.clock.advance(0.2)
    run.clock.advance(600)
    ticker.step()
    ticks_while_in_link = len(run.read("daily.tick"))
    run.drain()
    run.clock.advance(600)

    ticker.step()

    assert (ticks_while_waiting, ticks_while_in_link) == (1, 1)
    assert len(run.read("daily.tick")) == 2
