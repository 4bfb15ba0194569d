"""What the tests of captures rely on: a database of a test's own goes, whoever still reads from it."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cdc.conftest import Database


def test_a_database_is_dropped_though_who_reads_from_its_slot_ends_late(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("create table orders (id int primary key)")
    capture = shop.capture(tables=["orders"])
    capture.until("running")
    ((process,),) = shop.execute("select active_pid from pg_replication_slots where active")
    execute = shop.server.execute
    asked: list[str] = []

    def later(dbname: str, *statements: str) -> Sequence[tuple[Any, ...]]:
        if len(asked) == 1:
            os.kill(process, signal.SIGCONT)
        asked.extend(one for one in statements if "pg_terminate_backend" in one)
        return execute(dbname, *statements)

    os.kill(process, signal.SIGSTOP)  # as a server that has no time for it
    capture.stop()
    with monkeypatch.context() as patched:
        patched.setattr(shop.server, "execute", later)
        shop.drop()
    left = execute("postgres", f"select 1 from pg_database where datname = '{shop.name}'")
    execute("postgres", f"create database {shop.name}")  # for the fixture to drop

    assert len(asked) >= 2
    assert left == []
