"""Which connections are used again."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from headrace.connectors.sql.database import Connection, Database, SqlFailedError
from headrace.connectors.sql.pool import CHECK_AFTER_S, Pool
from headrace.runtime.clock import ManualClock


class FakeConnection:
    """Says what was done with it."""

    def __init__(self) -> None:
        self.is_broken = False
        self.is_closed = False
        self.is_dead = False
        self.checks = 0

    async def check(self) -> None:
        self.checks += 1
        if self.is_dead:
            raise refused()

    async def close(self) -> None:
        self.is_closed = True


class FakeDatabase:
    def __init__(self) -> None:
        self.made: list[FakeConnection] = []

    async def connect(self) -> Any:
        self.made.append(FakeConnection())
        return self.made[-1]


def refused() -> SqlFailedError:
    return SqlFailedError("refused", is_temporary=False, status=None, is_of_record=True)


class World:
    """A pool of a fake database."""

    def __init__(self, size: int = 1) -> None:
        self.database = FakeDatabase()
        self.clock = ManualClock()
        database: Database = self.database  # type: ignore[assignment] # as much of one as a pool needs
        self.pool = Pool(database, size, self.clock)

    async def use(self, error: BaseException | None = None) -> Connection:
        async with self.pool.connection() as connection:
            if error is not None:
                raise error
            return connection


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_a_connection_is_used_again_also_after_a_refusal() -> None:
    async def test() -> None:
        world = World()
        await world.use()
        with pytest.raises(SqlFailedError):
            await world.use(refused())
        await world.use()

        assert len(world.database.made) == 1

    run(test())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError(), KeyboardInterrupt()])
def test_a_connection_that_was_left_in_the_midst_is_closed(error: BaseException) -> None:
    async def test() -> None:
        world = World()
        with pytest.raises(type(error)):
            await world.use(error)

        assert world.database.made[0].is_closed
        await world.use()
        assert len(world.database.made) == 2

    run(test())


def test_a_connection_that_broke_is_not_used_again() -> None:
    async def test() -> None:
        world = World()
        await world.use()
        world.database.made[0].is_broken = True
        await world.use()

        assert world.database.made[0].is_closed
        assert len(world.database.made) == 2

    run(test())


def test_a_connection_is_looked_at_when_it_was_idle_for_long() -> None:
    async def test() -> None:
        world = World()
        await world.use()
        world.clock.advance(CHECK_AFTER_S - 1)
        await world.use()
        assert world.database.made[0].checks == 0
        world.clock.advance(CHECK_AFTER_S)
        await world.use()
        assert world.database.made[0].checks == 1
        world.database.made[0].is_dead = True
        world.clock.advance(CHECK_AFTER_S)
        await world.use()

        assert world.database.made[0].is_closed
        assert len(world.database.made) == 2

    run(test())


def test_there_are_never_more_than_allowed() -> None:
    async def test() -> None:
        world = World(size=2)
        most = [0, 0]

        async def work() -> None:
            async with world.pool.connection():
                most[0] += 1
                most[1] = max(most)
                await asyncio.sleep(0)
                most[0] -= 1

        await asyncio.gather(*(work() for _ in range(10)))

        assert most[1] == 2
        assert len(world.database.made) == 2
        await world.pool.close()
        assert all(one.is_closed for one in world.database.made)

    run(test())
