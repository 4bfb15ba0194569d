"""Sorted bytes that change now and then and are read in ranges while they change."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

_BLOCK = 1_000


class SortedKeys:
    """A set of keys in order, as blocks of keys that are replaced and never changed.

    So `range` goes on over what it found when it was asked, whatever is added meanwhile, and copies no key.
    """

    def __init__(self, keys: Iterable[bytes]) -> None:
        whole = sorted(keys)
        self._blocks = [whole[at : at + _BLOCK] for at in range(0, len(whole), _BLOCK)]
        self._firsts = [block[0] for block in self._blocks]

    def add(self, key: bytes) -> None:
        """Have this key; it may be there already."""
        if not self._blocks:
            self._blocks, self._firsts = [[key]], [key]
            return
        number = max(bisect_right(self._firsts, key) - 1, 0)
        block = self._blocks[number]
        at = bisect_left(block, key)
        if at < len(block) and block[at] == key:
            return
        self._replace(number, [*block[:at], key, *block[at:]])

    def discard(self, key: bytes) -> None:
        """Have this key no longer; it need not be there."""
        number = bisect_right(self._firsts, key) - 1
        if number < 0:
            return
        block = self._blocks[number]
        at = bisect_left(block, key)
        if at < len(block) and block[at] == key:
            self._replace(number, [*block[:at], *block[at + 1 :]])

    def range(self, start: bytes, end: bytes) -> Iterator[list[bytes]]:
        """Keys with `start` <= key < `end` in lists; `end` empty means to the last key."""
        first = max(bisect_right(self._firsts, start) - 1, 0)
        behind = bisect_left(self._firsts, end) if end else len(self._firsts)
        return _cut(self._blocks[first:behind], start, end)

    def _replace(self, number: int, block: list[bytes]) -> None:
        """Put a block of another content in a block's place: in halves when it is large, nothing when it is empty."""
        half = len(block) // 2
        parts = [block[:half], block[half:]] if len(block) > 2 * _BLOCK else [block] * bool(block)
        self._blocks[number : number + 1] = parts
        self._firsts[number : number + 1] = [part[0] for part in parts]


def _cut(blocks: list[list[bytes]], start: bytes, end: bytes) -> Iterator[list[bytes]]:
    last = len(blocks) - 1
    for number, block in enumerate(blocks):
        low = bisect_left(block, start) if number == 0 else 0
        high = bisect_left(block, end) if end and number == last else len(block)
        yield block[low:high]
