"""Batches that are refused."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headrace.connectors.sql.batches import carry_out
from headrace.connectors.sql.database import SqlFailedError


def error(is_of_record: bool) -> SqlFailedError:
    return SqlFailedError("no", is_temporary=False, status=None, is_of_record=is_of_record)


@given(st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_all_but_the_bad_are_done_in_their_order(count: int, bad: set[int]) -> None:
    done: list[int] = []

    async def work(items: Sequence[int]) -> None:
        if bad & set(items):
            raise error(is_of_record=True)
        done.extend(items)

    errors = asyncio.run(carry_out(range(count), work))

    assert [number for number, one in enumerate(errors) if one is not None] == sorted(
        bad & set(range(count))
    )
    assert done == [number for number in range(count) if number not in bad]


def test_what_is_no_records_fault_ends_the_search() -> None:
    tried: list[list[int]] = []

    async def work(items: Sequence[int]) -> None:
        tried.append(list(items))
        if len(items) > 2:
            raise error(is_of_record=True)
        raise error(is_of_record=False)

    errors = asyncio.run(carry_out(range(8), work))

    assert all(one is not None for one in errors)
    assert tried == [list(range(8)), [0, 1, 2, 3], [0, 1]]
