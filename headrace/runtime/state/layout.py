"""How the state of all tasks of a member lies in one store, and how a changelog record becomes entries of it.

A store's key begins with the *region* it belongs to: `r`, the number of the keyed stage's store, the task's partition. What
follows begins with a kind. A changelog record has the same key without the region, and the same value.

==== ============================================== ========================= ==========
kind then                                           value                     changelog
==== ============================================== ========================= ==========
k    length of the key, key, name                   codec                     yes
w    start of the bin in ms, key                    codec (an accumulator)    yes
n    e or w (clock), length of the key, key, name   due in ms                 yes
m    name                                           codec (what a task knows) yes
t    e or w (clock), due in ms, rest of the `n` key empty                     derived
x    expiry in ms, key of the k or w entry          empty                     derived
==== ============================================== ========================= ==========

Derived entries may be stale: whoever finds one looks at the entry that it was derived from. Numbers are big-endian, so that
bytes sort as they do. Beside the regions lie `mn` + name of a store (its number) and `mc` + region (its checkpoint).
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import StoreCorruptError
from headrace.runtime.state.codec import expiry_of

REGION = Struct(">cHH")
OFFSET = Struct(">q")
MOMENT = Struct(">Q")
LENGTH = Struct(">I")
NUMBER = b"mn"
CHECKPOINT = b"mc"
ENTRY, ACCUMULATOR, TIMER, META = b"k", b"w", b"n", b"m"
TIMER_INDEX, EXPIRY_INDEX = b"t", b"x"
STORES_MAX = 65_535


class Changes(NamedTuple):
    """Entries to put and keys to delete, with their region."""

    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]


def region_of(store_number: int, partition: int) -> bytes:
    """What all keys of one stage's state in one task begin with."""
    return REGION.pack(b"r", store_number, partition)


def end_of(prefix: bytes) -> bytes:
    """The first key behind all keys that begin with `prefix`."""
    whole = prefix.rstrip(b"\xff")
    return whole[:-1] + bytes([whole[-1] + 1]) if whole else b""


def entry_key(key: bytes, name: str) -> bytes:
    """A `k` key; names of one key lie side by side, in the order of their bytes."""
    return b"k" + LENGTH.pack(len(key)) + key + name.encode()


def entries_of(key: bytes) -> bytes:
    """What all `k` keys of one key begin with."""
    return b"k" + LENGTH.pack(len(key)) + key


def accumulator_key(start_ms: int, key: bytes) -> bytes:
    """A `w` key."""
    return b"w" + MOMENT.pack(start_ms) + key


def timer_key(clock: bytes, key: bytes, name: str) -> bytes:
    """An `n` key; `clock` is e (event time) or w (wall clock)."""
    return b"n" + clock + LENGTH.pack(len(key)) + key + name.encode()


def timer_index_key(timer: bytes, due_ms: int) -> bytes:
    """The `t` key of the timer with this `n` key."""
    return b"t" + timer[1:2] + MOMENT.pack(due_ms) + timer[2:]


def timer_of_index(index: bytes) -> tuple[bytes, int]:
    """The `n` key and the due time that a `t` key (without its region) stands for."""
    return b"n" + index[1:2] + index[10:], MOMENT.unpack_from(index, 2)[0]


def split_timer(timer: bytes) -> tuple[bytes, bytes, str]:
    """Clock, key and name of an `n` key."""
    end = 6 + LENGTH.unpack_from(timer, 2)[0]
    return timer[1:2], timer[6:end], timer[end:].decode()


def split_entry(entry: bytes) -> tuple[bytes, str]:
    """Key and name of a `k` key."""
    end = 5 + LENGTH.unpack_from(entry, 1)[0]
    return entry[5:end], entry[end:].decode()


def key_of_entry(entry: bytes) -> bytes:
    """The key of a `k` key."""
    return entry[5 : 5 + LENGTH.unpack_from(entry, 1)[0]]


def expiry_index_key(entry: bytes, expires_ms: int) -> bytes:
    """The `x` key of an entry that expires."""
    return b"x" + MOMENT.pack(expires_ms) + entry


def expand(region: bytes, key: bytes, value: bytes | None, changes: Changes) -> None:
    """Add to `changes` what one changelog record means for the store."""
    if value is None:
        changes.deletes.append(region + key)
        return
    changes.puts.append((region + key, value))
    kind = key[:1]
    if kind == TIMER:
        changes.puts.append((region + timer_index_key(key, MOMENT.unpack(value)[0]), b""))
    elif kind in (ENTRY, ACCUMULATOR):
        expires_ms = expiry_of(value)
        if expires_ms is not None:
            changes.puts.append((region + expiry_index_key(key, expires_ms), b""))


def expired(
    store: Store, region: bytes, now_ms: int, limit: int, since_ms: int = 0
) -> Iterator[tuple[bytes, bytes | None]]:
    """Index keys whose time has come, at most `limit`, each with the entry's key when the entry has indeed expired.

    Both without their region. The caller deletes the index key in any case. `since_ms` is how far the caller has come
    before: a range that begins where keys were deleted steps over all that is left of them.
    """
    start = region + EXPIRY_INDEX + MOMENT.pack(since_ms)
    end = region + EXPIRY_INDEX + MOMENT.pack(max(now_ms, 0) + 1)
    for found, _ in store.range(start, end):
        if limit <= 0:
            return
        limit -= 1
        index = found[len(region) :]
        entry = index[1 + MOMENT.size :]
        value = store.get(region + entry)
        is_expired = value is not None and expiry_of(value) == MOMENT.unpack_from(index, 1)[0]
        yield index, entry if is_expired else None


def store_number(store: Store, name: str) -> int:
    """The number of a stage's store in this folder; a new one when it has none yet.

    Raises:
        StoreCorruptError: more stores than a folder can have.
    """
    known = store.get(NUMBER + name.encode())
    if known is not None:
        return int.from_bytes(known, "big")
    taken = [int.from_bytes(value, "big") for _, value in store.range(NUMBER, end_of(NUMBER))]
    number = max(taken, default=0) + 1
    if number > STORES_MAX:
        raise StoreCorruptError(
            f"the store has had {STORES_MAX:,} stages; delete its folder, its contents are restored"
        )
    store.write([(NUMBER + name.encode(), number.to_bytes(2, "big"))])
    return number


def checkpoint_of(store: Store, region: bytes) -> int | None:
    """The changelog offset up to which (excluding) a region has everything; None when nothing was restored yet."""
    found = store.get(CHECKPOINT + region)
    return OFFSET.unpack(found)[0] if found is not None else None


def checkpoint(region: bytes, offset: int) -> tuple[bytes, bytes]:
    """The entry that notes a checkpoint."""
    return CHECKPOINT + region, OFFSET.pack(offset)


def clearing(region: bytes) -> tuple[bytes, bytes]:
    """The range of everything in a region; its checkpoint must be deleted with it."""
    return region, end_of(region)
