"""Writes records to a table: as many as there are in few statements, in one transaction."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby

from headrace.connectors.sql.batches import carry_out
from headrace.connectors.sql.changes import Change, Put, Step, steps_of
from headrace.connectors.sql.config import SqlConfig
from headrace.connectors.sql.database import Connection, SqlFailedError
from headrace.connectors.sql.record_rows import RecordRows, UnknownColumnError
from headrace.runtime.contracts.call import Call, Caller, Opening, Outcome
from headrace.runtime.errors import RecordError


class WriteCaller(Caller):
    """Leaves the table as if every record of the batch had been written in its order."""

    def __init__(self, config: SqlConfig, opening: Opening) -> None:
        assert config.table is not None
        self._config = config
        self._name = tuple(config.table.split("."))
        self._pool = config.pool(opening.settings, opening.clock)
        self._rows: RecordRows | None = None

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        rows = self._rows or await self._looked_up()
        made = [_changes(rows, call) for call in calls]
        if any(isinstance(one, UnknownColumnError) for one in made):
            rows = await self._looked_up()  # the table may have got the column since
            made = [
                _changes(rows, call) if isinstance(one, UnknownColumnError) else one
                for call, one in zip(calls, made, strict=True)
            ]
        fitting = [changes for changes in made if not isinstance(changes, RecordError)]
        errors = iter(await carry_out(fitting, partial(self._write, rows)) if fitting else ())
        outcomes = []
        for call, one in zip(calls, made, strict=True):
            error = one if isinstance(one, RecordError) else next(errors)
            outcomes.append(Outcome((call.event,)) if error is None else Outcome(error=error))
        return outcomes

    async def close(self) -> None:
        await self._pool.close()

    async def _looked_up(self) -> RecordRows:
        async with self._pool.connection() as connection:
            self._rows = RecordRows(self._config, await connection.table(self._name))
        return self._rows

    async def _write(self, rows: RecordRows, fitting: Sequence[Sequence[Change]]) -> None:
        changes = [change for one in fitting for change in one]
        steps = _inserts(changes) if self._config.write == "insert" else steps_of(changes)
        if not steps:
            return
        try:
            async with self._pool.connection() as connection:
                if len(steps) == 1 and connection.is_step_atomic:
                    await _carry_out(connection, rows, steps[0])
                    return
                async with connection.transaction():
                    for step in steps:
                        await _carry_out(connection, rows, step)
        except SqlFailedError as error:
            if not error.is_of_record:
                self._rows = None  # the table may have been changed
            raise


def _changes(rows: RecordRows, call: Call) -> list[Change] | RecordError:
    try:
        return rows.changes(call)
    except RecordError as error:
        return error


def _inserts(changes: Sequence[Change]) -> list[Step]:
    """Inserted rows are all kept, whatever their key; those of one shape go together while they follow each other."""
    steps: list[Step] = []
    for columns, group in groupby(changes, _columns):
        same = list(group)
        if columns is None:
            steps += steps_of(same)
        else:
            rows = tuple(change.row for change in same if isinstance(change, Put))
            steps.append(Step("insert", columns, rows))
    return steps


def _columns(change: Change) -> tuple[str, ...] | None:
    return tuple(sorted(change.row)) if isinstance(change, Put) else None


async def _carry_out(connection: Connection, rows: RecordRows, step: Step) -> None:
    table, key = rows.table, rows.key
    if step.kind == "clear":
        await connection.clear(table)
    elif step.kind == "delete":
        await connection.delete(table, step.rows, key)
    elif step.kind == "insert":
        await connection.insert(table, step.columns, step.rows, None)
    elif step.kind == "upsert":
        await connection.insert(table, step.columns, step.rows, key)
    elif set(step.columns) > set(key):
        await connection.update(table, step.columns, step.rows, key)
