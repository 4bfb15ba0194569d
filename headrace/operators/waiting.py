"""Events that wait in the state of a key."""

from datetime import timedelta
from typing import Any, Final

from headrace.runtime.contracts.action import KeyedContext

MILLISECOND: Final = timedelta(milliseconds=1)


def in_ms(duration: timedelta) -> int:
    """A duration in milliseconds; a part of one counts as a whole one."""
    return -(-duration // MILLISECOND)


class Fifo:
    """First in, first out: an entry per value, and one with the numbers of the first and the next value.

    A view on the state of one key, valid as long as the context. Names of its entries begin with `name`.
    """

    def __init__(self, context: KeyedContext, name: str = "") -> None:
        self._context = context
        self._name = name
        numbers: list[int] = context.get(f"{name}#") or [0, 0]
        self._first, self._next = numbers

    def __len__(self) -> int:
        return self._next - self._first

    def push(self, value: Any) -> None:
        """Add a value behind the others; it belongs to the store afterwards."""
        self._context.put(f"{self._name}{self._next:016d}", value)
        self._next += 1
        self._keep()

    def first(self) -> Any:
        """The value that has waited longest; it stays."""
        return self._context.get(f"{self._name}{self._first:016d}")

    def pop(self) -> Any:
        """The value that has waited longest; it is gone."""
        value = self.first()
        self._context.delete(f"{self._name}{self._first:016d}")
        self._first += 1
        self._keep()
        return value

    def _keep(self) -> None:
        if self._first == self._next:
            self._context.delete(f"{self._name}#")
            self._first = self._next = 0
        else:
            self._context.put(f"{self._name}#", [self._first, self._next])


def time_after_wait(context: KeyedContext, timestamp_ms: int, delay_ms: int) -> int:
    """The event time of an event that goes on now: its own, moved on only where stages behind would take it for late."""
    return max(timestamp_ms, context.watermark_ms - delay_ms)
