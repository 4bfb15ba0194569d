"""Writers of all kinds, and what the records of their table must add up to."""

import random
from collections import Counter
from collections.abc import Mapping
from threading import Event, Thread
from typing import Any

import psycopg

from headrace.runtime.clock import SystemClock
from tests.cdc.conftest import Database
from tests.cdc.running import Change

TABLE = """
create table orders (id bigserial primary key, customer text, amount numeric(10, 2), n int not null default 0,
  at timestamptz default now())
"""


class Load:
    """Writes in all ways: small and large transactions, COPY, rollbacks, keys that change, deletes."""

    def __init__(self, url: str, seed: int) -> None:
        self._client = psycopg.connect(url)
        self._random = random.Random(seed)
        self._stopped = Event()
        self.transactions = 0
        self._thread = Thread(target=self._run, daemon=True)

    def until(self, transactions: int) -> None:
        """Wait until it has written so many transactions."""
        clock = SystemClock()
        while self.transactions < transactions:
            assert self._thread.is_alive()
            clock.sleep(0.02)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._write()
            except psycopg.errors.UniqueViolation:
                self._client.rollback()
            self.transactions += 1
            self._stopped.wait(0.01)

    def _write(self) -> None:
        choice = self._random.random()
        execute = self._client.execute
        if choice < 0.3:
            execute("insert into orders (customer, amount) values ('one', 1.5)")
        elif choice < 0.5:
            count = self._random.choice((10, 100, 1000, 2500))
            execute(
                "insert into orders (customer, amount) select 'many', i from generate_series(1, %s) i",
                [count],
            )
        elif choice < 0.6:
            with (
                self._client.cursor() as cursor,
                cursor.copy("copy orders (customer, amount) from stdin") as copy,
            ):
                for i in range(1200):
                    copy.write_row(("copied", i))
        elif choice < 0.8:
            execute(
                "update orders set n = n + 1 where id in (select id from orders order by random() limit 50)"
            )
        elif choice < 0.87:
            execute(
                "update orders set id = -id where id in"
                " (select id from orders where id > 0 order by random() limit 5)"
            )
        elif choice < 0.95:
            execute(
                "delete from orders where id in (select id from orders order by random() limit 40)"
            )
        else:
            execute("insert into orders (customer) select 'never' from generate_series(1, 500)")
            self._client.rollback()
            return
        self._client.commit()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()


def table(shop: Database) -> dict[str, Any]:
    return {
        str({"id": id_}): (id_, customer, None if amount is None else f"{amount:.2f}", n)
        for id_, customer, amount, n in shop.execute("select id, customer, amount, n from orders")
    }


def as_rows(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {key: (row["id"], row["customer"], row["amount"], row["n"]) for key, row in rows.items()}


def assert_exactly_once(changes: list[Change]) -> None:
    counted = Counter(
        (one.op, str(one.key), one.value["source"]["lsn"], one.value["source"]["index"])
        for one in changes
        if one.value is not None
    )
    assert [one for one, count in counted.items() if count > 1] == []
    last: dict[str, tuple[int, int]] = {}
    for one in changes:
        if one.value is None or one.op == "r":
            continue
        source = one.value["source"]
        at = (source["commit_lsn"], source["index"])
        assert at > last.get(str(one.key), (-1, -1)), f"{one.key} is out of order"
        last[str(one.key)] = at
