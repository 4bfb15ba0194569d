"""Opening SQLite's files."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

from headrace.connectors.sql.database import Connection, Database
from headrace.connectors.sql.place import ConnectionPlace
from headrace.connectors.sql.sqlite.connection import SqliteConnection
from headrace.connectors.sql.sqlite.failures import failure_of
from headrace.connectors.sql.threaded import opened


class Sqlite(Database):
    """A file, which is made when it is not there."""

    def __init__(self, place: ConnectionPlace) -> None:
        self._place = place

    async def connect(self) -> Connection:
        place = self._place
        thread = ThreadPoolExecutor(1, "headrace-sqlite")

        def open_file() -> sqlite3.Connection:
            # Waits for locks of others as long as connecting may take.
            driver = sqlite3.connect(
                place.address.name,
                timeout=place.connect_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            driver.execute("pragma foreign_keys = on")
            driver.execute("pragma journal_mode = wal")
            return driver

        try:
            driver = await opened(thread, open_file)
        except sqlite3.Error as error:
            raise failure_of(error, f"opening {place.address.shown}") from error
        return SqliteConnection(place, thread, driver)
