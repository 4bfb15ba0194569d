"""Which partition a key goes to: the 32-bit murmur2 hash of Kafka's own clients.

Whoever wants to know where a record is, or which task has a key, asks here; the Kafka producers are set to the same rule
(`partitioner` of `connectors.kafka.producer`) and the broker in memory calls this.
"""

from functools import lru_cache

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_WORD = 0xFFFFFFFF


def partition_of(key: bytes, count: int) -> int:
    """The partition of a keyed record in a topic of `count` partitions. An empty key is a key; a missing one has no partition."""
    return (murmur2(key) & 0x7FFFFFFF) % count


@lru_cache(maxsize=65_536)
def murmur2(data: bytes) -> int:
    """Austin Appleby's murmur2 with Kafka's seed, unsigned. Remembers the keys asked for last."""
    size = len(data)
    state = (_SEED ^ size) & _WORD
    tail = size & ~3
    for index in range(0, tail, 4):
        word = int.from_bytes(data[index : index + 4], "little") * _FACTOR & _WORD
        word = (word ^ word >> 24) * _FACTOR & _WORD
        state = (state * _FACTOR & _WORD) ^ word
    if tail < size:
        state ^= int.from_bytes(data[tail:], "little")
        state = state * _FACTOR & _WORD
    state = (state ^ state >> 13) * _FACTOR & _WORD
    return state ^ state >> 15
