import pytest

from headrace.runtime.state import restore
from headrace.runtime.state.freed_memory import give_back
from tests.unit.state.restoring import World, await_done, eventually, numbered, replica


def test_giving_back_may_be_asked_for_at_any_time() -> None:
    give_back()
    give_back()


def test_memory_is_given_back_once_after_much_was_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(restore, "TIDY_RECORDS", 100)
    monkeypatch.setattr(restore, "give_back", lambda: calls.append(None))
    world.write(numbered(0, 150), 0)
    world.write(numbered(0, 50), 1)
    restorer = world.restorer()

    restorer.restore([replica(0)])
    await_done(restorer, 0)
    eventually(lambda: len(calls) == 1)
    restorer.restore([replica(1)])
    await_done(restorer, 1)
    restorer.follow([replica(1)])
    world.write(numbered(50, 60), 1)
    eventually(lambda: len(world.contents(1)) == 60)

    assert len(calls) == 1
