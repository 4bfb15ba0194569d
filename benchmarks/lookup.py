"""`python -m benchmarks.lookup`: customers looked up in PostgreSQL for each order, and orders written to a table.

The same orders, in batches of the same size, through `hydrate` and `sql` as the engine calls them, and through a loop as
a good engineer writes it by hand on psycopg: `= any(%s)` with a set of keys, and `executemany` of an upsert. Contenders
take turns; prints figures and ratios, never a verdict.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import psycopg

from headrace.connectors.sql.action import Sql
from headrace.operators.hydrate import Hydrate
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.action import Action
from headrace.runtime.contracts.call import BatchAction, Call, Opening
from tests.cdc.postgres_server import PostgresServer

CUSTOMERS = 100_000
TABLES = (
    "create table customers (id integer primary key, name text, segment text)",
    f"insert into customers select i, 'customer ' || i, 's' || i % 7 from generate_series(1, {CUSTOMERS}) i",
    "create table orders (id integer primary key, customer integer, amount numeric(10, 2), note text)",
    "analyze customers",
)
UPSERT = """
insert into orders (id, customer, amount, note) values (%(id)s, %(customer)s, %(amount)s, %(note)s)
on conflict (id) do update set customer = excluded.customer, amount = excluded.amount, note = excluded.note
"""

Order = dict[str, Any]
Batch = Sequence[Order]


def orders(count: int) -> list[Order]:
    """Orders, some customers of which come more often than others."""
    chance = random.Random(1)
    return [
        {
            "id": number,
            "customer": int(CUSTOMERS * chance.random() ** 3) + 1,
            "amount": f"{number / 7:.2f}",
            "note": "x" * 40,
        }
        for number in range(count)
    ]


def opened(kind: type[Action], config: Mapping[str, Any]) -> tuple[BatchAction, Any]:
    """An action and its caller; its settings hold no expression."""
    action = kind(kind.Config.model_validate(dict(config))).specialised()
    assert isinstance(action, BatchAction), list(action.problems())
    settings = {name: template.constant for name, template in action.settings().items()}
    return action, action.caller(Opening("orders", "call", settings, SystemClock()))


def calls_of(batch: Batch, arguments: Callable[[Order], Mapping[str, Any]]) -> list[Call]:
    """What the engine hands to a caller."""
    return [Call(one, arguments(one), b"k", 0, str(one["id"])) for one in batch]


async def hydrated(url: str, batches: Sequence[Batch]) -> int:
    """Through `hydrate`; how many were found."""
    sql = {"database": url, "table": "customers", "column": "id", "columns": ["name", "segment"]}
    _, caller = opened(Hydrate, {"key": "event.customer", "into": "found", "sql": sql})
    found = 0
    for batch in batches:
        calls = calls_of(batch, lambda one: {"hydrate_key": one["customer"]})
        outcomes = await caller.process(calls)
        found += sum(outcome.events[0]["found"] is not None for outcome in outcomes)
    await caller.close()
    return found


async def hydrated_by_hand(url: str, batches: Sequence[Batch]) -> int:
    """The same by hand."""
    found = 0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as client:
        for batch in batches:
            keys = list({one["customer"] for one in batch})
            cursor = await client.execute(
                "select id, name, segment from customers where id = any(%s)", (keys,)
            )
            rows = {row[0]: {"name": row[1], "segment": row[2]} for row in await cursor.fetchall()}
            events = [{**one, "found": rows.get(one["customer"])} for one in batch]
            found += sum(event["found"] is not None for event in events)
    return found


async def written(url: str, batches: Sequence[Batch]) -> int:
    """Through `sql`; how many were written."""
    _, caller = opened(Sql, {"database": url, "table": "orders"})
    count = 0
    for batch in batches:
        outcomes = await caller.process(calls_of(batch, lambda _: {}))
        count += sum(outcome.error is None for outcome in outcomes)
    await caller.close()
    return count


async def written_by_hand(url: str, batches: Sequence[Batch]) -> int:
    """The same by hand, in psycopg's pipeline."""
    async with await psycopg.AsyncConnection.connect(url) as client:
        for batch in batches:
            async with client.cursor() as cursor:
                await cursor.executemany(UPSERT, batch)
            await client.commit()
    return sum(map(len, batches))


Contender = Callable[[str, Sequence[Batch]], Awaitable[int]]
WORKS: Mapping[str, tuple[Contender, Contender]] = {
    "look up": (hydrated, hydrated_by_hand),
    "upsert": (written, written_by_hand),
}


async def rate(contender: Contender, url: str, batches: Sequence[Batch]) -> float:
    """Orders per second."""
    expected = sum(map(len, batches))
    begun_s = time.perf_counter()
    done = await contender(url, batches)
    assert done == expected, f"{done} of {expected}"
    return expected / (time.perf_counter() - begun_s)


async def run(postgres: PostgresServer, given: argparse.Namespace) -> None:
    """Contenders in turn."""
    url = postgres.url("postgres")
    made = orders(given.orders)
    for work, contenders in WORKS.items():
        for size in given.batches:
            batches = [made[at : at + size] for at in range(0, len(made), size)]
            best = [0.0, 0.0]
            for _ in range(given.rounds):
                for number, contender in enumerate(contenders):
                    postgres.execute("postgres", "truncate orders")
                    best[number] = max(best[number], await rate(contender, url, batches))
            ours, by_hand = best
            print(
                f"{work}, batches of {size}: {ours:,.0f}/s; by hand {by_hand:,.0f}/s; {ours / by_hand:.2f} times"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookup", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    postgres = PostgresServer({"synchronous_commit": "off"})
    try:
        postgres.start()
        postgres.execute("postgres", *TABLES)
        asyncio.run(run(postgres, given))
    finally:
        postgres.remove()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
