"""Changelogs that are followed without their tasks."""

from threading import Event

from headrace.runtime.state.codec import encode
from headrace.runtime.state.layout import entry_key
from tests.unit.state.restoring import CutReader, World, await_done, eventually, numbered, replica


def test_a_standby_follows_and_becomes_active_by_reading_the_rest(world: World) -> None:
    world.write(numbered(0, 50))
    reader = CutReader(world.reader(), [7])
    restorer = world.restorer(new_reader=lambda: reader)
    restorer.follow([replica(0)])
    eventually(lambda: world.checkpoint() == 51)
    world.write(numbered(50, 60))
    eventually(lambda: world.checkpoint() == 62)
    world.write(numbered(60, 65))

    restorer.restore([replica(0)])

    await_done(restorer, 0)
    assert reader.records == 65
    assert world.contents() == dict(numbered(0, 65))
    assert restorer.progress() == []


def test_a_task_that_is_restored_comes_before_standby_copies(world: World) -> None:
    world.write(numbered(0, 5), 0)
    commit = world.write(numbered(5, 9), 1, outcome="open")
    restorer = world.restorer()
    restorer.restore([replica(1)])
    eventually(lambda: restorer.progress()[0].to_restore == 4)

    restorer.follow([replica(0)])

    assert world.contents(0) == {}
    commit()
    await_done(restorer, 1)
    eventually(lambda: world.contents(0) == dict(numbered(0, 5)))


def test_follow_replaces_the_standby_copies_and_leaves_restored_ones_alone(world: World) -> None:
    commit = world.write(numbered(5, 9), 1, outcome="open")
    restorer = world.restorer()
    restorer.restore([replica(1)])
    restorer.follow([replica(0), replica(1)])

    restorer.follow([])

    assert [one.is_standby for one in restorer.progress()] == [False]
    commit()
    await_done(restorer, 1)


def test_standby_copies_stand_still_while_the_member_asks_for_it(world: World) -> None:
    pause = Event()
    pause.set()
    restorer = world.restorer(is_paused=pause.is_set)
    world.write(numbered(0, 5), 0)
    world.write(numbered(5, 9), 1)
    restorer.follow([replica(0)])
    restorer.restore([replica(1)])
    await_done(restorer, 1)
    assert world.contents(0) == {}

    pause.clear()

    eventually(lambda: world.contents(0) == dict(numbered(0, 5)))


def test_a_standby_tells_how_far_it_is_behind(world: World) -> None:
    world.write(numbered(0, 5))
    restorer = world.restorer()
    restorer.follow([replica(0)])
    eventually(lambda: world.checkpoint() == 6)
    world.write(numbered(5, 9), outcome="open")

    def lag() -> int:
        world.clock.advance(1)
        return restorer.progress()[0].lag

    eventually(lambda: lag() == 4)


def test_standby_copies_are_swept_now_and_then(world: World) -> None:
    entry = entry_key(b"a", "")
    world.write([(entry, encode(1, world.clock.now_ms() + 60_000))])
    restorer = world.restorer()
    restorer.follow([replica(0, ttl_kind="wall")])
    eventually(lambda: entry in world.contents())
    assert len(world.contents()) == 2

    def is_swept() -> bool:
        world.clock.advance(1)
        return world.contents() == {}

    eventually(is_swept)
