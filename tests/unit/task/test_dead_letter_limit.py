"""A flow whose records fail in numbers."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from headrace.runtime.errors import FlowStoppedError
from headrace.runtime.limit import Limit
from headrace.runtime.settings import WorkerSettings
from tests.unit.running import Running, running

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: first}
  - {name: first, action: filter, config: {where: event.a > 1}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def limited(limit: str | None) -> Running:
    return running(FLOW, dead_letter_limit=limit)


def test_one_dead_letter_too_many_stops_the_flow_and_says_why() -> None:
    run = limited("2/1m")

    with pytest.raises(FlowStoppedError) as raised:
        run.run({"b": 1}, {"b": 2}, {"b": 3}, {"b": 4})

    text = str(raised.value)
    assert text.startswith("flow 'flow' stopped: more than 2/1m dead letters")
    assert "stage 'first' (3)" in text
    assert "first in[0]@0: event has no field 'a'" in text
    assert text.count("in[0]@") == 3
    assert run.dead_letters == []


def test_dead_letters_within_the_limit_are_written() -> None:
    run = limited("2/1m")

    run.run({"b": 1}, {"a": 2}, {"b": 2})

    assert len(run.dead_letters) == 2
    assert run.data("out") == [{"a": 2}]


def test_old_dead_letters_do_not_count() -> None:
    run = limited("2/1m")
    run.run({"b": 1}, {"b": 2})
    run.clock.advance(61)

    run.run({"b": 3}, {"b": 4})

    assert len(run.dead_letters) == 4


def test_a_record_that_comes_again_after_an_abort_counts_once() -> None:
    run = limited("1/1h")
    run.feed({"b": 1})
    run.broker.faults.fail_next_commit()

    run.drain()

    assert len(run.dead_letters) == 1


def test_there_is_no_limit_unless_asked_for() -> None:
    run = limited(None)

    run.run(*({"b": i} for i in range(2_000)))

    assert len(run.dead_letters) == 2_000


@pytest.mark.parametrize("text", ["100", "a/1m", "0/1m", "5/0s", "5/60", "-1/1m", "99999999999/1s"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(dead_letter_limit=text)


def test_a_limit_reads_as_it_is_written() -> None:
    settings = WorkerSettings(dead_letter_limit="100/1m30s")

    assert settings.dead_letter_limit == Limit(100, timedelta(seconds=90))
    assert settings.model_dump(mode="json")["dead_letter_limit"] == "100/1m30s"
    assert WorkerSettings.model_validate(settings.model_dump()) == settings
