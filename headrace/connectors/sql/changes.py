"""What records do to a table, and the fewest steps in which many of them can be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Put:
    """The row of a key is this. `is_whole`: it has every value that the row shall have; otherwise others stay."""

    key: Key
    row: dict[str, Any]
    is_whole: bool = True


@dataclass(frozen=True)
class Remove:
    """There is no row of this key."""

    key: Key
    row: dict[str, Any]
    """The columns of the key."""


@dataclass(frozen=True)
class Clear:
    """There is no row at all."""


Change = Put | Remove | Clear


@dataclass(frozen=True)
class Step:
    """Rows that one statement takes: all have the same columns, and each key is there once."""

    kind: Literal["upsert", "insert", "update", "delete", "clear"]
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def steps_of(changes: Sequence[Change]) -> list[Step]:
    """The steps that leave a table as the changes would, one after the other.

    The last change of a key counts; one that has only some values is laid over the one before it. Rows are deleted before
    others are written, so that what a deleted row held (a unique name) is free.
    """
    steps: list[Step] = []
    last: dict[Key, Put | Remove] = {}
    for change in changes:
        if isinstance(change, Clear):
            last.clear()
            steps = [Step("clear", (), ())]
            continue
        before = last.pop(change.key, None)  # the place of a key is that of its last change
        last[change.key] = _laid_over(before, change)
    gone = [change.row for change in last.values() if isinstance(change, Remove)]
    if gone:
        steps.append(Step("delete", tuple(gone[0]), tuple(gone)))
    groups: dict[tuple[bool, tuple[str, ...]], list[dict[str, Any]]] = {}
    for change in last.values():
        if isinstance(change, Put):
            groups.setdefault((change.is_whole, tuple(sorted(change.row))), []).append(change.row)
    for (is_whole, columns), rows in groups.items():
        steps.append(Step("upsert" if is_whole else "update", columns, tuple(rows)))
    return steps


def _laid_over(before: Put | Remove | None, change: Put | Remove) -> Put | Remove:
    if before is None or isinstance(change, Remove) or change.is_whole:
        return change
    if isinstance(before, Remove):
        return before  # there is nothing to lay it over
    return Put(change.key, {**before.row, **change.row}, before.is_whole)
