"""Workers wait more than they work, so that several series of deaths run at once in the time of one."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Kind = TypeVar("Kind")


def side_by_side(series: Callable[[Kind], None], kinds: Iterable[Kind]) -> None:
    """Run one series per kind, all at once, to their ends; raise what the first of them raised."""
    every = list(kinds)
    with ThreadPoolExecutor(len(every)) as pool:
        running = [pool.submit(series, kind) for kind in every]
    for kind, done in zip(every, running, strict=True):
        error = done.exception()
        if error is not None:
            error.add_note(f"in the series {kind}")
            raise error
