"""Has the database carry out a statement, for all records of a batch in one transaction."""

from collections.abc import Sequence
from typing import Any

from headrace.connectors.sql.batches import carry_out
from headrace.connectors.sql.config import SqlConfig
from headrace.connectors.sql.parameters import parameters_of
from headrace.connectors.sql.statement import Statement
from headrace.runtime.contracts.call import Call, Caller, Opening, Outcome


class ExecuteCaller(Caller):
    """Carries statements out in the order of the records; one that is refused leaves the others alone."""

    def __init__(self, config: SqlConfig, statement: Statement, opening: Opening) -> None:
        self._statement = statement
        self._pool = config.pool(opening.settings, opening.clock)

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        errors = await carry_out([parameters_of(call.arguments) for call in calls], self._execute)
        return [
            Outcome((call.event,)) if error is None else Outcome(error=error)
            for call, error in zip(calls, errors, strict=True)
        ]

    async def close(self) -> None:
        await self._pool.close()

    async def _execute(self, parameters: Sequence[dict[str, Any]]) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(self._statement, parameters)
