"""Sorted bytes that change now and then and are read in ranges while they change."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterable, Iterator

_BLOCK = 1_000
# Fewer keys find their places sooner one by one.
_SORTED_MIN = 50


class SortedKeys:
    """A set of keys in order, as blocks of keys that are replaced and never changed.

    So `range` goes on over what it found when it was asked, whatever is changed meanwhile, and copies no key.
    """

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._blocks = _split(sorted(keys))
        self._firsts = [block[0] for block in self._blocks]

    def change(self, changed: Iterable[bytes], present: Container[bytes]) -> None:
        """Have those of the changed keys that are present, and the others of them no longer.

        Keys may be named more than once, be there already, or never have been there.
        """
        keys = sorted(set(changed))
        if not self._blocks:
            self._replace(0, [key for key in keys if key in present])
            return
        # From the last block to the first, so that a block that is replaced by several moves none that is still to come.
        behind = len(keys)
        while behind:
            number = max(bisect_right(self._firsts, keys[behind - 1]) - 1, 0)
            first = bisect_left(keys, self._firsts[number], 0, behind) if number else 0
            block = _mended(self._blocks[number], keys[first:behind], present)
            self._replace(number, block)
            behind = first

    def range(self, start: bytes, end: bytes) -> Iterator[list[bytes]]:
        """Keys with `start` <= key < `end` in lists; `end` empty means to the last key."""
        first = max(bisect_right(self._firsts, start) - 1, 0)
        behind = bisect_left(self._firsts, end) if end else len(self._firsts)
        return _cut(self._blocks[first:behind], start, end)

    def _replace(self, number: int, block: list[bytes]) -> None:
        """Put a block of another content in a block's place: in parts when it is large, nothing when it is empty."""
        parts = _split(block) if len(block) > 2 * _BLOCK else [block] * bool(block)
        self._blocks[number : number + 1] = parts
        self._firsts[number : number + 1] = [part[0] for part in parts]


def _split(keys: list[bytes]) -> list[list[bytes]]:
    return [keys[at : at + _BLOCK] for at in range(0, len(keys), _BLOCK)]


def _mended(block: list[bytes], keys: list[bytes], present: Container[bytes]) -> list[bytes]:
    """A new block of this one's keys and of `keys`, as far as those are present."""
    gone = {key for key in keys if key not in present}
    mended = [key for key in block if key not in gone] if gone else block.copy()
    added = [key for key in keys if key not in gone and not _has(block, key)]
    if len(added) > _SORTED_MIN:
        mended += added
        mended.sort()
    else:
        for key in added:
            insort(mended, key)
    return mended


def _has(block: list[bytes], key: bytes) -> bool:
    at = bisect_left(block, key)
    return at < len(block) and block[at] == key


def _cut(blocks: list[list[bytes]], start: bytes, end: bytes) -> Iterator[list[bytes]]:
    last = len(blocks) - 1
    for number, block in enumerate(blocks):
        low = bisect_left(block, start) if number == 0 else 0
        high = bisect_left(block, end) if end and number == last else len(block)
        yield block[low:high]
