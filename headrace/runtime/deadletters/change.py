"""Edits and purges dead letters."""

from collections.abc import Iterable, Iterator

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.deadletters.box import Choice, LetterBox
from headrace.runtime.deadletters.ledger import Done
from headrace.runtime.deadletters.letter import EDITED, OMITTED, Letter

BATCH = 1_000
MARGIN_BYTES = 100_000
MESSAGE_BYTES_MIN = 1_000_000


def edit(box: LetterBox, letter: Letter, value: bytes | None) -> Letter:
    """Write a letter anew with another value, behind the others, and mark the old one; returns the new one.

    Raises:
        HeadraceError: as of a `Producer`; nothing was changed then.
    """
    producer = box.producer(max(MESSAGE_BYTES_MIN, len(value or b"") + MARGIN_BYTES))
    headers = [pair for pair in letter.headers if pair[0] not in (OMITTED, EDITED)]
    headers.append((EDITED, letter.id.encode()))
    try:
        with box.transaction(producer):
            given = (box.topic, value, letter.key, letter.partition)
            producer.produce(*given, None, None, letter.timestamp_ms, headers)
            box.ledger.note(producer, letter.id, Done("edited", box.clock.now_ms()))
    finally:
        producer.close()
    edited = [
        found
        for found, _ in box.letters(Choice())
        if found.told("edited") == letter.id and found.partition == letter.partition
    ]
    return edited[-1]


def purge(box: LetterBox, letters: Iterable[Letter]) -> int:
    """Give letters up: nobody sees them any more. Returns how many there were.

    Kafka deletes only what lies at the beginning of a partition, so a letter behind others is marked, and deleted when all in
    front of it are dealt with, too.

    Raises:
        HeadraceError: as of a `Producer`; some may be purged then.
    """
    ids = [letter.id for letter in letters]
    producer = box.producer(MESSAGE_BYTES_MIN)
    try:
        done = box.done()
        todo = [one for one in ids if one not in done]
        for at in range(0, len(todo), BATCH):
            with box.transaction(producer):
                for one in todo[at : at + BATCH]:
                    box.ledger.note(producer, one, Done("purged", box.clock.now_ms()))
        begin, before = _deletable(box)
        gone = list(_gone(box, before))
        box.admin.delete_records({one: at for one, at in before.items() if at > begin[one]})
        # Only now: a crash in between leaves entries of letters that are gone, which the next purge finds.
        with box.transaction(producer):
            box.ledger.forget(producer, gone)
    finally:
        producer.close()
    return len(todo)


def _deletable(box: LetterBox) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Per partition where it begins, and the offset before which every letter is dealt with."""
    every = [TopicPartition(box.topic, i) for i in range(box.existing[box.topic])]
    begin, before = box.admin.offsets(every, "earliest"), box.admin.offsets(every, "latest")
    for letter, _ in box.letters(Choice()):
        where = TopicPartition(box.topic, letter.partition)
        before[where] = min(before[where], letter.offset)
    return begin, before


def _gone(box: LetterBox, before: dict[TopicPartition, int]) -> Iterator[str]:
    for one in box.done():
        partition, _, offset = one.partition("-")
        where = TopicPartition(box.topic, int(partition))
        if int(offset) < before.get(where, 0):
            yield one
