"""Deliveries that were taken already, as far back as is remembered."""

import hashlib
from collections import OrderedDict

DELIVERY_BYTES_MAX = 1_024


def digest_of(delivery: bytes) -> bytes:
    """What is remembered of a delivery: short, whatever senders call theirs."""
    return hashlib.blake2b(delivery, digest_size=16).digest()


class Remembered:
    """Digests with the time of their acknowledgement; the oldest go first. Not thread-safe."""

    def __init__(self, count_max: int, window_ms: int) -> None:
        self._count_max = count_max
        self._window_ms = window_ms
        self._times: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, digest: bytes, at_ms: int) -> None:
        """Remember a delivery; the first time counts."""
        if digest in self._times:
            return
        self._times[digest] = at_ms
        if len(self._times) > self._count_max:
            self._times.popitem(last=False)

    def has(self, digest: bytes, now_ms: int) -> bool:
        """Whether a delivery was taken within the window."""
        self._forget(now_ms)
        return digest in self._times

    def _forget(self, now_ms: int) -> None:
        while self._times:
            digest, at_ms = next(iter(self._times.items()))
            if at_ms > now_ms - self._window_ms:
                return
            del self._times[digest]
