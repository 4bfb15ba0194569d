"""Keys in order, whatever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.state.sorted_keys import SortedKeys

NUMBERS = st.integers(0, 6_000)


def key(number: int) -> bytes:
    return b"%05d" % number


def listed(keys: SortedKeys, start: bytes = b"", end: bytes = b"") -> list[bytes]:
    return [one for block in keys.range(start, end) for one in block]


@given(
    st.sets(NUMBERS, max_size=20),
    st.lists(st.tuples(st.booleans(), NUMBERS, st.integers(1, 2_500)), max_size=6),
    NUMBERS,
    NUMBERS,
)
def test_a_range_holds_what_came_and_has_not_gone(
    first: set[int], changes: list[tuple[bool, int, int]], start: int, end: int
) -> None:
    keys = SortedKeys(map(key, first))
    model = set(first)
    for is_added, begin, count in changes:
        numbers = range(begin, begin + count)
        model = model.union(numbers) if is_added else model.difference(numbers)
        keys.change([*map(key, numbers), *map(key, numbers[:3])], set(map(key, model)))

    assert listed(keys) == [key(number) for number in sorted(model)]
    assert listed(keys, key(start), key(end)) == [
        key(number) for number in sorted(model) if start <= number < end
    ]


def test_a_range_goes_on_over_what_it_found() -> None:
    keys = SortedKeys(map(key, range(3_000)))
    found = keys.range(key(10), b"")
    keys.change(map(key, range(0, 3_000, 2)), ())
    keys.change(map(key, range(3_000, 6_000)), set(map(key, range(3_000, 6_000))))

    assert [one for block in found for one in block] == [key(number) for number in range(10, 3_000)]
