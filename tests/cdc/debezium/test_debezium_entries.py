"""Which position is kept behind a batch, and what is left out of the next ones."""

from typing import NamedTuple

import pytest

from headrace.connectors.cdc.debezium.entries import Entries, Taken
from headrace.connectors.cdc.debezium.frames import Again, Batch, decode_batch, encode_batch


class Row(NamedTuple):
    """A record of an entry of the log; None within a snapshot."""

    entry: int | None
    name: str = ""


HEARTBEAT = "heartbeat"


def entries(again: Again | None = None, *, is_anew: bool = False) -> Entries:
    return Entries(lambda row: row.entry, lambda row: row.name != HEARTBEAT, again, is_anew=is_anew)


def rows(*numbers: int | None) -> list[Row]:
    return [Row(number) for number in numbers]


def test_the_position_is_in_front_of_the_last_entry_and_its_records_come_again() -> None:
    taken = entries().take([Row(1, "a"), Row(2, "b"), Row(3, "c"), Row(3, "d")])

    assert taken.safe == Row(2, "b")
    assert taken.again == Again(3, 2)
    assert len(taken.fresh) == 4


def test_an_entry_over_several_batches_is_counted_as_a_whole() -> None:
    one = entries()
    one.take(rows(1, 2, 2))

    second, third = one.take(rows(2, 2)), one.take(rows(2, 3))

    assert (second.safe, second.again) == (None, Again(2, 4))
    assert (third.safe, third.again) == (Row(2), Again(3, 1))


def test_the_end_of_the_batch_before_is_the_position_of_one_with_a_new_entry_alone() -> None:
    one = entries()
    one.take([Row(1), Row(2, "end")])

    taken = one.take(rows(3, 3))

    assert (taken.safe, taken.again) == (Row(2, "end"), Again(3, 2))


def test_what_was_delivered_is_skipped_over_several_batches_and_nothing_else() -> None:
    one = entries(Again(5, 3))

    found = [one.take(part).fresh for part in (rows(5, 5), [Row(5, "old"), Row(5, "new")], rows(6))]

    assert found == [[], [Row(5, "new")], rows(6)]


def test_what_is_skipped_still_counts_as_delivered() -> None:
    taken = entries(Again(5, 3)).take(rows(5, 5, 5, 5))

    assert taken.fresh == rows(5)
    assert taken.again == Again(5, 4)


def test_an_entry_that_does_not_come_again_costs_no_record_behind_it() -> None:
    taken = entries(Again(5, 3)).take(rows(6, 6))

    assert taken.fresh == rows(6, 6)


def test_heartbeats_are_neither_counted_nor_skipped() -> None:
    heartbeat = Row(5, HEARTBEAT)

    taken = entries(Again(5, 1)).take([heartbeat, *rows(5, 5)])

    assert taken.fresh == [heartbeat, Row(5)]
    assert taken.again == Again(5, 2)


def test_within_a_snapshot_every_record_has_a_position_of_its_own() -> None:
    taken = entries().take([Row(None, "a"), Row(None, "b")])

    assert taken == Taken([Row(None, "a"), Row(None, "b")], Row(None, "b"), None)


@pytest.mark.parametrize("is_anew", [True, False])
def test_a_first_batch_of_one_entry_is_a_position_only_where_there_is_none(is_anew: bool) -> None:
    taken = entries(is_anew=is_anew).take(rows(1, 1))

    assert taken.safe == (Row(1) if is_anew else None)
    assert taken.again == (None if is_anew else Again(1, 2))


def test_what_comes_again_goes_through_the_pipe() -> None:
    batch = Batch([], [], [], Again(7, 2))

    assert decode_batch(encode_batch(batch)) == batch
