from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.state.pace import Pace
from headrace.runtime.state.progress import RestoreProgress, lines_of, progress_of
from headrace.runtime.state.read_size import BYTES, RECORDS_MAX, ReadSize
from headrace.runtime.state.replica import Restoration
from tests.unit.state.restoring import replica


def progress(partition: int, restored: int, to_restore: int, per_s: float) -> RestoreProgress:
    return RestoreProgress(
        changelog=TopicPartition("changelog", partition),
        store="orders/totals",
        is_standby=False,
        restored=restored,
        to_restore=to_restore,
        per_s=per_s,
    )


def test_a_line_tells_how_far_how_fast_and_how_long() -> None:
    assert lines_of([progress(3, 1_204_000, 4_000_000, 410_200)]) == [
        "restoring orders/totals[3]: 1,204,000 of 4,000,000 records (30 %), 410 k/s, 7 s left"
    ]


def test_a_line_without_a_rate_promises_nothing() -> None:
    assert lines_of([progress(3, 0, 400, 0.0)]) == [
        "restoring orders/totals[3]: 0 of 400 records (0 %), nothing comes: waiting for a broker, or for a transaction to end"
    ]


def test_many_partitions_share_a_line() -> None:
    lines = lines_of([progress(one, 100, 200, 5.0) for one in range(6)])

    assert lines == ["restoring 6 partitions: 600 of 1,200 records (50 %), 30/s, 20 s left"]


def test_the_time_left_is_unknown_while_nothing_moves() -> None:
    assert progress(0, 5, 10, 0.0).left_s is None
    assert progress(0, 10, 10, 0.0).left_s == 0
    assert progress(0, 5, 10, 2.5).left_s == 2


def test_the_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    for second in range(101):
        pace.observe(second, second * 1000)

    assert pace.per_s(110, 100_000) < 700
    assert pace.per_s(100, 100_000) == 1000


def test_a_restoration_that_was_not_looked_up_yet_has_done_nothing() -> None:
    found = progress_of(Restoration(replica(), 0.0, is_standby=True), 1.0)

    assert (found.restored, found.to_restore, found.per_s, found.is_standby) == (0, 0, 0.0, True)


def records(count: int, size: int) -> list[Message]:
    return [MemoryMessage("t", 0, one, b"k", bytes(size - 1), None, 1, 0) for one in range(count)]


def test_large_records_are_read_a_few_at_a_time_and_small_ones_by_thousands() -> None:
    size = ReadSize()

    size.learn(records(100, 20))
    assert size.records == RECORDS_MAX
    size.learn(records(300, 1 << 20))
    assert size.records == BYTES >> 20
    size.learn(records(1, 2 * BYTES))
    assert size.records == 1
