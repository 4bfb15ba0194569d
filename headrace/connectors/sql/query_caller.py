"""Carries out queries: each set of parameters once per batch."""

from collections.abc import Sequence
from typing import Any

from headrace.connectors.sql.config import SqlConfig
from headrace.connectors.sql.database import SqlFailedError
from headrace.connectors.sql.parameters import parameters_of
from headrace.connectors.sql.statement import Statement
from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Opening, Outcome
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described


class QueryCaller(Caller):
    """Asks for all records of a batch together; when that fails for one of them, for each by itself."""

    def __init__(self, config: SqlConfig, statement: Statement, opening: Opening) -> None:
        self._config = config
        self._statement = statement
        self._pool = config.pool(opening.settings, opening.clock)

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        parameters = [parameters_of(call.arguments) for call in calls]
        places: dict[str, int] = {}
        of_call = [places.setdefault(repr(sorted(one.items())), len(places)) for one in parameters]
        asked = [parameters[of_call.index(place)] for place in range(len(places))]
        found = await self._found(asked)
        return [
            self._outcome(call, found[place]) for call, place in zip(calls, of_call, strict=True)
        ]

    async def close(self) -> None:
        await self._pool.close()

    async def _found(
        self, asked: Sequence[dict[str, Any]]
    ) -> list[list[dict[str, Any]] | SqlFailedError]:
        try:
            async with self._pool.connection() as connection:
                return list(await connection.query(self._statement, asked))
        except SqlFailedError as error:
            if len(asked) == 1 or not error.is_of_record:
                return [error] * len(asked)
        return [found for one in asked for found in await self._found([one])]

    def _outcome(self, call: Call, found: list[dict[str, Any]] | SqlFailedError) -> Outcome:
        if isinstance(found, SqlFailedError):
            return Outcome(error=found)
        try:
            return Outcome((self._with(call.event, found),))
        except RecordError as error:
            return Outcome(error=error)

    def _with(self, event: Any, found: list[dict[str, Any]]) -> dict[str, Any]:
        config = self._config
        if not isinstance(event, dict):
            raise RecordError(f"rows are added to events that are maps, found {described(event)}")
        if config.rows == "one" and len(found) != 1:
            raise CallFailedError(f"rows: one is needed, and the query found {len(found)}")
        if config.merge:
            return {**event, **found[0]} if found else event
        assert config.into is not None
        if config.rows == "all":
            return {**event, config.into: found}
        return {**event, config.into: found[0] if found else None}
