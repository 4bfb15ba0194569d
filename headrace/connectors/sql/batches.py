"""Carrying out a batch as a whole, and finding the records that prevent it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from headrace.connectors.sql.database import SqlFailedError

Item = TypeVar("Item")


async def carry_out(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[None]]
) -> list[SqlFailedError | None]:
    """The error of each item, if any. `work` does what it is given as a whole or not at all.

    When a record is refused the batch is halved, again and again, in order: neighbours of a bad record are written, and
    what comes behind it is written after what comes before it. An error that is no record's is that of all that were left.
    """
    try:
        await work(items)
    except SqlFailedError as error:
        if len(items) == 1 or not error.is_of_record:
            return [error] * len(items)
    else:
        return [None] * len(items)
    middle = len(items) // 2
    first = await carry_out(items[:middle], work)
    for found in first:
        if found is not None and not found.is_of_record:
            return [*first, *[found] * (len(items) - middle)]
    return [*first, *await carry_out(items[middle:], work)]
