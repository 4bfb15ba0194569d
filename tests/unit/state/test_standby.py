from headrace.runtime.state.codec import encode
from headrace.runtime.state.layout import MOMENT, Changes, entry_key, expand, region_of, timer_key
from headrace.runtime.state.memory_store import MemoryStore
from headrace.runtime.state.standby import TIME, event_time, sweep
from tests.unit.state.restoring import contents, replica

REGION = region_of(1, 0)
EVENT, WALL = replica(0), replica(0, ttl_kind="wall")


def store_with(*changes: tuple[bytes, bytes], watermark: int | None = None) -> MemoryStore:
    store = MemoryStore()
    for change in changes:
        found = Changes([], [])
        expand(REGION, *change, found)
        store.write(*found)
    if watermark is not None:
        store.write([(REGION + TIME, encode({"watermark": watermark, "idle": []}))])
    return store


def entries(store: MemoryStore) -> dict[bytes, bytes]:
    return {key: value for key, value in contents(store, REGION).items() if key != TIME}


def test_what_has_expired_goes_with_its_index_on_the_clock_of_the_stage() -> None:
    old, new = entry_key(b"a", "old"), entry_key(b"a", "new")
    changes = ((old, encode(1, 100)), (new, encode(1, 200)))
    by_event, by_wall = store_with(*changes, watermark=150), store_with(*changes, watermark=50)

    assert sweep(by_event, EVENT, 10_000, 10) == 2
    assert sweep(by_wall, WALL, 150, 10) == 2

    assert entries(by_event) == entries(by_wall)
    assert new in entries(by_wall)
    assert len(entries(by_wall)) == 2


def test_nothing_expires_before_the_task_has_an_event_time() -> None:
    store = store_with((entry_key(b"a", ""), encode(1, 100)))

    assert sweep(store, EVENT, 10_000, 10) == 0

    assert event_time(store, REGION) == -1
    assert len(entries(store)) == 2


def test_an_entry_with_a_later_expiry_stays_and_loses_its_stale_index() -> None:
    key = entry_key(b"a", "")
    store = store_with((key, encode(1, 100)), (key, encode(2, 900)), watermark=500)

    assert sweep(store, EVENT, 0, 10) == 1

    assert entries(store)[key] == encode(2, 900)
    assert len(entries(store)) == 2


def test_a_pass_is_bounded() -> None:
    changes = [(entry_key(b"%d" % one, ""), encode(1, 100 + one)) for one in range(10)]
    store = store_with(*changes, watermark=1_000)

    assert sweep(store, EVENT, 0, 3) == 6

    assert len(entries(store)) == 14


def test_indexes_of_timers_that_were_set_anew_or_are_gone_are_deleted() -> None:
    timer, gone = timer_key(b"e", b"a", "close"), timer_key(b"w", b"b", "wake")
    store = store_with(
        (timer, MOMENT.pack(100)),
        (timer, MOMENT.pack(300)),
        (gone, MOMENT.pack(100)),
        watermark=200,
    )
    store.write((), [REGION + gone])

    assert sweep(store, EVENT, 1_000, 10) == 2

    assert len(entries(store)) == 2
    assert entries(store)[timer] == MOMENT.pack(300)


def test_a_timer_that_is_due_is_left_to_its_task() -> None:
    timer = timer_key(b"e", b"a", "close")
    store = store_with((timer, MOMENT.pack(100)), watermark=200)

    assert sweep(store, EVENT, 1_000, 10) == 0

    assert len(entries(store)) == 2
