"""Connections of drivers that wait: each has a thread of its own."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, TypeVar

import orjson

from headrace.connectors.sql.database import Connection, Row, SqlFailedError
from headrace.connectors.sql.place import ConnectionPlace
from headrace.connectors.sql.results import PLAIN, plain
from headrace.connectors.sql.statement import Statement

Result = TypeVar("Result")
IN_ONE = 500
"""Rows in one statement; some databases have a bound on the number of parameters."""


class ThreadedConnection(Connection):
    """A connection of a driver of Python's database API (PEP 249) that is used in one thread only.

    Subclasses say what errors mean (`failure`), how to stop what the thread is doing (`interrupt`), and write the statements.
    """

    BEGIN: ClassVar[str] = "begin"
    PLACE: ClassVar[str] = "?"
    """Stands for a parameter without a name."""
    PERCENT: ClassVar[str] = "%"
    """How the sign is written in the name of a column where a statement has parameters."""

    def __init__(self, place: ConnectionPlace, thread: ThreadPoolExecutor, driver: Any) -> None:
        self._place = place
        self._thread = thread
        self._driver = driver
        self._is_closed = False
        self._is_busy = False

    @property
    def is_broken(self) -> bool:
        return self._is_closed

    @abstractmethod
    def failure(self, error: Exception, what: str) -> SqlFailedError:
        """What an error of the driver means; may note that the connection is broken."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make what the thread is doing fail soon; called on another thread."""

    @abstractmethod
    def parameter(self, name: str) -> str:
        """How a parameter is written."""

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._is_busy:
                self.interrupt()
            self._thread.submit(self._close_driver)
            self._thread.shutdown(wait=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.run("a transaction", lambda: self._execute(self.BEGIN))
        try:
            yield
            await self.run("committing a transaction", self._driver.commit)
        except SqlFailedError:
            if not self._is_closed:
                await self.run("undoing a transaction", self._driver.rollback)
            raise
        except BaseException:
            await self.close()
            raise

    async def query(
        self, statement: Statement, parameters: Sequence[Row]
    ) -> list[list[dict[str, Any]]]:
        text = self._spelled(statement)
        given = [_adapted(one) for one in parameters]
        return await self.run("the query", lambda: [self._fetch(text, one) for one in given])

    async def execute(self, statement: Statement, parameters: Sequence[Row]) -> None:
        text = self._spelled(statement)
        given = [_adapted(one) for one in parameters]

        def work() -> None:
            for one in given:
                self._execute(text, one)

        await self.run("the statement", work)

    async def find(
        self, table: tuple[str, ...], column: str, select: Sequence[str], keys: Sequence[Any]
    ) -> list[list[dict[str, Any]]]:
        what = self.listed(dict.fromkeys([*select, column])) if select else "*"
        begin = f"select {what} from {self.named(table)} where {self.quoted(column)} in "

        def work() -> list[dict[str, Any]]:
            rows = []
            for chunk in chunks(keys):
                places = ", ".join(self.PLACE for _ in chunk)
                rows += self._fetch(f"{begin}({places})", [adapted(key) for key in chunk])
            return rows

        rows = await self.run(f"looking in table '{'.'.join(table)}'", work)
        return matched(rows, column, keys, select)

    def quoted(self, name: str) -> str:
        """A name of a column or a table. In backticks: in double quotes SQLite takes the name of a missing column for a text."""
        return "`" + name.replace("`", "``").replace("%", self.PERCENT) + "`"

    def named(self, table: Sequence[str]) -> str:
        """A table's name, of which each part is quoted."""
        return ".".join(self.quoted(part) for part in table)

    def listed(self, names: Iterable[str]) -> str:
        """Names with commas between them."""
        return ", ".join(self.quoted(name) for name in names)

    async def run(self, what: str, work: Callable[[], Result]) -> Result:
        """Do something in the connection's thread. Cancelled, it is interrupted, and the connection is closed."""
        loop = asyncio.get_running_loop()
        self._is_busy = True
        try:
            result = await loop.run_in_executor(self._thread, work)
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:
            self._is_busy = False
            raise self.failure(error, what) from error
        self._is_busy = False
        return result

    def _spelled(self, statement: Statement) -> str:
        return statement.spelled(self.parameter)

    def _execute(self, text: str, parameters: Any = None) -> Any:
        cursor = self._driver.cursor()
        if parameters:
            cursor.execute(text, parameters)
        else:
            cursor.execute(text)
        return cursor

    def _fetch(self, text: str, parameters: Any = None) -> list[dict[str, Any]]:
        cursor = self._execute(text, parameters)
        try:
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            decimal = self._place.decimal
            return [
                {
                    name: value if value.__class__ in PLAIN else plain(value, decimal)
                    for name, value in zip(names, row, strict=True)
                }
                for row in cursor.fetchall()
            ]
        finally:
            cursor.close()

    def _close_driver(self) -> None:
        with suppress(Exception):  # it is of no use any more, in whatever way
            self._driver.close()


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """As many at a time as go into one statement."""
    return (rows[at : at + IN_ONE] for at in range(0, len(rows), IN_ONE))


def adapted(value: Any) -> Any:
    """A value of JSON's types as drivers take it."""
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value) if isinstance(value, str) else value


def _adapted(parameters: Row) -> dict[str, Any]:
    return {name: adapted(value) for name, value in parameters.items()}


async def opened(thread: ThreadPoolExecutor, open_one: Callable[[], Result]) -> Result:
    """Open a connection of a driver in its thread. Cancelled, or failed, it leaves neither connection nor thread behind."""
    made: list[Any] = []

    def work() -> Result:
        one = open_one()
        made.append(one)
        return one

    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    except BaseException:
        thread.submit(lambda: [one.close() for one in made])
        thread.shutdown(wait=False)
        raise


def matched(
    rows: Sequence[dict[str, Any]], column: str, keys: Sequence[Any], select: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """Rows by the key they were found for, as text; where that fails, without regard to case, as some collations compare."""
    exact: dict[str, list[dict[str, Any]]] = {}
    folded: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = str(row[column] if not select or column in select else row.pop(column))
        exact.setdefault(key, []).append(row)
        folded.setdefault(key.casefold().rstrip(), []).append(row)
    return [exact.get(str(key)) or folded.get(str(key).casefold().rstrip(), []) for key in keys]
