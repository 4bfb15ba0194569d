"""The recent records of a key in order of time, and the aggregate of any stretch of them.

An entry holds what came at one time, a block adds up the entries of a thirty-second part of the stretch's length. A stretch is
the rest of a block, some whole blocks, and the beginning of a block. Rests and beginnings of one block are made together, so that
one stretch costs a few dozen merges, and many side by side cost three merges each.
"""

from bisect import bisect_left, bisect_right
from typing import Any, Final

from headrace.operators.reduce.accumulator import Accumulator, copy_of
from headrace.runtime.contracts.action import KeyedContext

BLOCKS: Final = 32
ENTRY, _BLOCK = "t", "b"


class Past:
    """A view on the state of one key. What it has read it does not read again: use it until the next record is added."""

    def __init__(self, context: KeyedContext, accumulator: Accumulator, length_ms: int) -> None:
        self._context = context
        self._accumulator = accumulator
        self._length_ms = length_ms
        self.block_ms = max(1, length_ms // BLOCKS)
        self._blocks: dict[int, tuple[list[int], list[Any]]] = {}
        self._beginnings: dict[int, list[Any]] = {}
        self._rests: dict[int, list[Any]] = {}
        self._between: tuple[tuple[int, int], Any] = ((0, 0), None)

    def add(self, time_ms: int, event: Any) -> None:
        """Add a record.

        Raises:
            RecordError: the event does not fit; nothing has changed.
        """
        context = self._context
        single = self._accumulator.new()
        self._accumulator.add(single, event, time_ms, context.key)
        names = _name(ENTRY, time_ms), _name(_BLOCK, time_ms // self.block_ms)
        grown = [self._grown(context.get(name), single) for name in names]
        for name, value in zip(names, grown, strict=True):
            context.put(name, value)

    def _grown(self, known: list[Any] | None, single: list[Any]) -> list[Any]:
        if known is None:
            return copy_of(single)
        grown = copy_of(known)
        self._accumulator.merge(grown, single)
        return grown

    def times(self, first_ms: int, last_ms: int) -> list[int]:
        """The times from the first to the last, both included, at which there are records."""
        entries = self._context.items(_name(ENTRY, first_ms), _name(ENTRY, last_ms + 1))
        return [int(name[1:]) for name, _ in entries]

    def block_from(self, first: int, last: int) -> int | None:
        """The first block with records among those from `first` to `last`, both included.

        Looks at stretches that double in length, because a context may read a stretch as a whole.
        """
        count = 1
        while first <= last:
            end = min(first + count, last + 1)
            for name, _ in self._context.items(_name(_BLOCK, first), _name(_BLOCK, end)):
                return int(name[1:])
            first, count = end, count * 2
        return None

    def time_from(self, first_ms: int, last_ms: int) -> int | None:
        """The first time with records among those from `first_ms` to `last_ms`, both included."""
        last = last_ms // self.block_ms
        found = self.block_from(max(first_ms, 0) // self.block_ms, last)
        while found is not None:
            times, _ = self._of_block(found)
            place = bisect_left(times, first_ms)
            if place < len(times):
                return times[place]
            found = self.block_from(found + 1, last)
        return None

    def forget(self, first: int, end: int) -> None:
        """Delete blocks and their entries, from the first on, the end not included."""
        gone = [*self._context.items(_name(_BLOCK, first), _name(_BLOCK, end))]
        bounds = first * self.block_ms, end * self.block_ms
        gone += self._context.items(*(_name(ENTRY, bound) for bound in bounds))
        for name, _ in gone:
            self._context.delete(name)

    def stretch(self, end_ms: int) -> list[Any]:
        """The aggregate of what lies at most the length before the end, which is a time with records."""
        first_ms = end_ms - self._length_ms + 1
        left, right = first_ms // self.block_ms, end_ms // self.block_ms
        parts = [self._beginning(right, end_ms)]
        if left < right:
            parts = [self._rest(left, first_ms), self._middle(left + 1, right), *parts]
        present = [part for part in parts if part is not None]
        whole = copy_of(present[0])
        for part in present[1:]:
            self._accumulator.merge(whole, part)
        return whole

    def _of_block(self, block: int) -> tuple[list[int], list[Any]]:
        """Times and accumulators of the entries of a block."""
        found = self._blocks.get(block)
        if found is None:
            bounds = block * self.block_ms, (block + 1) * self.block_ms
            entries = [*self._context.items(*(_name(ENTRY, bound) for bound in bounds))]
            times = [int(name[1:]) for name, _ in entries]
            found = self._blocks[block] = times, [value for _, value in entries]
        return found

    def _beginning(self, block: int, last_ms: int) -> Any:
        """The aggregate of a block up to a time."""
        times, values = self._of_block(block)
        made = self._beginnings.get(block)
        if made is None:
            made = self._beginnings[block] = []
            for value in values:
                if made:
                    sum_so_far = copy_of(made[-1])
                    self._accumulator.merge(sum_so_far, value)
                    made.append(sum_so_far)
                else:
                    made.append(value)
        place = bisect_right(times, last_ms)
        return made[place - 1] if place else None

    def _rest(self, block: int, first_ms: int) -> Any:
        """The aggregate of a block from a time on."""
        times, values = self._of_block(block)
        made = self._rests.get(block)
        if made is None:
            made = []
            for value in reversed(values):
                if made:
                    rest = copy_of(value)
                    self._accumulator.merge(rest, made[-1])
                    made.append(rest)
                else:
                    made.append(value)
            made.reverse()
            self._rests[block] = made
        place = bisect_left(times, first_ms)
        return made[place] if place < len(made) else None

    def _middle(self, first: int, end: int) -> Any:
        """The aggregate of whole blocks, the end not included."""
        if self._between[0] != (first, end):
            whole = None
            for _, value in self._context.items(_name(_BLOCK, first), _name(_BLOCK, end)):
                if whole is None:
                    whole = copy_of(value)
                else:
                    self._accumulator.merge(whole, value)
            self._between = (first, end), whole
        return self._between[1]


def _name(kind: str, number: int) -> str:
    """The name of an entry: in the order of the numbers, which are not negative."""
    return f"{kind}{max(number, 0):015d}"
