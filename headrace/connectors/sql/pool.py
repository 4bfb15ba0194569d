"""Connections that are used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from headrace.connectors.sql.database import Connection, Database, SqlFailedError
from headrace.runtime.clock import Clock

CHECK_AFTER_S: Final = 10.0
"""A connection that was idle for longer is asked for a sign of life before it is used."""


class Pool:
    """At most `size` connections to one database; the one that was used last is used first. Belongs to one event loop."""

    def __init__(self, database: Database, size: int, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[Connection, float]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that works, for the length of the block.

        Whatever is raised inside, cancellation above all, may leave it in the midst of something: unless the database itself
        has refused, it is closed rather than used again.

        Raises:
            SqlFailedError: there is none to be had.
        """
        async with self._free:
            connection = await self._taken()
            is_sound = False
            try:
                yield connection
                is_sound = True
            except SqlFailedError:
                is_sound = True
                raise
            finally:
                if is_sound and not connection.is_broken:
                    self._idle.append((connection, self._clock.monotonic_s()))
                else:
                    await connection.close()

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close()

    async def _taken(self) -> Connection:
        while self._idle:
            connection, since_s = self._idle.pop()
            if connection.is_broken or not await self._is_alive(connection, since_s):
                await connection.close()
                continue
            return connection
        return await self._database.connect()

    async def _is_alive(self, connection: Connection, since_s: float) -> bool:
        if self._clock.monotonic_s() - since_s < CHECK_AFTER_S:
            return True
        try:
            await connection.check()
        except SqlFailedError:
            return False
        return True
