"""What holds of every action that calls the outside."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from headrace.runtime.contracts.call import CallFailedError
from headrace.runtime.graph.calling import is_temporary_failure
from tests.contract.sinks import SECRET, SINKS, Place, event, unreachable
from tests.unit.connectors.calling import Calling, action_of

SECRETS = {"PASSWORD": SECRET}


def on(name: str, folder: Path, then: Callable[[Calling, Place], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            SINKS[name](folder) as place,
            Calling(place.kind, place.config, SECRETS) as calling,
        ):
            await then(calling, place)

    asyncio.run(run())


@pytest.fixture(params=SINKS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_each_call_has_an_outcome_and_passes_its_event_on(name: str, tmp_path: Path) -> None:
    async def then(calling: Calling, place: Place) -> None:
        events = [event(number) for number in range(5)]
        outcomes = await calling.outcomes(*events)

        assert [outcome.error for outcome in outcomes] == [None] * 5
        assert [list(outcome.events) for outcome in outcomes] == [[one] for one in events]

    on(name, tmp_path, then)


def test_an_outcome_is_given_when_the_target_has_the_record(name: str, tmp_path: Path) -> None:
    async def then(calling: Calling, place: Place) -> None:
        for number in range(3):
            await calling.outcomes(event(number))

            assert sorted(place.written()) == list(range(number + 1))

    on(name, tmp_path, then)


def test_a_batch_without_records_is_no_call(name: str, tmp_path: Path) -> None:
    async def then(calling: Calling, place: Place) -> None:
        assert list(await calling.caller.process([])) == []
        assert list(place.written()) == []

    on(name, tmp_path, then)


def test_commits_and_closing_may_come_at_any_time_and_twice(name: str, tmp_path: Path) -> None:
    async def then(calling: Calling, place: Place) -> None:
        await calling.caller.committed()
        await calling.outcomes(event(1))
        await calling.caller.committed()
        await calling.caller.close()
        await calling.caller.close()

        assert list(place.written()) == [1]

    on(name, tmp_path, then)


def test_an_action_that_keeps_order_writes_equal_keys_in_theirs(name: str, tmp_path: Path) -> None:
    async def then(calling: Calling, place: Place) -> None:
        if calling.action.keeps_order:
            await calling.outcomes(*(event(number) for number in (3, 1, 2)))

            assert sorted(place.written()) == [1, 2, 3]
        assert calling.action.batch_size >= 1
        assert calling.action.concurrency >= 1

    on(name, tmp_path, then)


@pytest.mark.parametrize("name", ["http", "postgresql", "mysql", "slack", "email"])
def test_a_target_that_does_not_answer_is_a_temporary_failure_that_tells_no_secret(
    name: str, tmp_path: Path
) -> None:
    kind, config = unreachable(tmp_path)[name]

    async def run() -> list[Exception]:
        async with Calling(kind, config, SECRETS) as calling:
            try:
                outcomes = await calling.outcomes(event(1), event(2))
            except CallFailedError as error:  # the failure of both
                return [error, error]
            return [outcome.error for outcome in outcomes if outcome.error is not None]

    errors = asyncio.run(run())

    assert len(errors) == 2
    for error in errors:
        notes = " ".join(getattr(error, "__notes__", ()))
        assert isinstance(error, CallFailedError)
        assert is_temporary_failure(error)
        assert SECRET not in f"{error} {error!r} {notes}"
        assert "127.0.0.1" in str(error)


def test_a_plan_tells_no_secret(name: str, tmp_path: Path) -> None:
    async def run() -> str:
        async with SINKS[name](tmp_path) as place:
            return action_of(place.kind, place.config).summary()

    assert SECRET not in asyncio.run(run())
