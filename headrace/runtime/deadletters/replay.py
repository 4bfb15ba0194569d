"""Sends dead letters back into their flow, each once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from headrace.runtime.contracts.broker import NewTopic, Producer, TopicDescription
from headrace.runtime.deadletters.box import LetterBox
from headrace.runtime.deadletters.ledger import Done
from headrace.runtime.deadletters.letter import OMITTED, Letter
from headrace.runtime.deadletters.way import Way, way_of, way_to_stage
from headrace.runtime.errors import RecordError
from headrace.runtime.plan import Plan
from headrace.runtime.task.records import OWN

BATCH = 500
"""Letters per transaction."""
MESSAGE_BYTES_MIN = 1_000_000


@dataclass(frozen=True)
class Refusal:
    """A letter that stays where it is, and why."""

    letter: Letter
    reason: str


class Replay:
    """Sends letters back to their stages, and notes in the same transaction that they are replayed.

    A letter that holds the event that came to its stage goes to that stage; any other goes to the topic that its record was read
    from.

    Whatever dies, a letter is replayed once; a second command that runs at the same time fences the first.

    Args:
        from_source: all letters go to the topic that their record was read from.
        repeats: also replay letters for which stages would do again what they have done already.
        is_now: with the time of now in place of the record's own.
    """

    def __init__(
        self,
        box: LetterBox,
        plan: Plan,
        *,
        from_source: bool = False,
        repeats: bool = False,
        is_now: bool = False,
    ) -> None:
        self._box = box
        self._plan = plan
        self._from_source = from_source
        self._repeats = repeats
        self._is_now = is_now
        self._topics: dict[str, TopicDescription | None] = {}
        self.written: dict[str, int] = {}
        """How many records each topic got."""

    def ready(self, letter: Letter) -> tuple[Way, Letter]:
        """The way of a letter, and the letter with its value, which may still be in the topic it failed from.

        Raises:
            RecordError: it cannot be replayed; says why.
        """
        if not self._from_source:
            way = way_to_stage(self._plan, letter, self._box.existing)
            if way is not None:
                self._check_repeats(way)
                return way, letter
        way = way_of(self._plan, letter)
        self._check_repeats(way)
        topic = self._described(way.to.topic)
        if topic is None or way.to.partition >= topic.partitions:
            raise RecordError(f"{way.to} does not exist any more")
        age_ms = self._box.clock.now_ms() - letter.source_timestamp_ms
        is_kept = topic.retention_ms < 0 or topic.is_stamped_by_broker
        if not is_kept and age_ms > topic.retention_ms and not self._is_now:
            raise RecordError(
                f"'{topic.name}' deletes records that are as old as this one; --now gives it the time of now"
            )
        whole = self._whole(letter)
        return way_of(self._plan, whole), whole

    def _check_repeats(self, way: Way) -> None:
        if way.repeats and not self._repeats:
            stages = ", ".join(f"'{name}'" for name in way.repeats)
            raise RecordError(
                f"{stages} would work on the record again, and so repeat what it has done already; --repeat does so all the same"
            )

    def send(self, letters: Iterable[Letter]) -> Iterator[Refusal]:
        """Replay letters; those that are refused come back, the others are in their topics when the iterator has ended.

        Raises:
            HeadraceError: as of a `Producer`; letters of the batch under way were not replayed.
        """
        largest = max(
            [MESSAGE_BYTES_MIN, *(topic.message_bytes_max for topic in self._all_topics())]
        )
        producer = self._box.producer(largest)
        try:
            done = self._box.done()  # whoever was fenced by the producer may have replayed some
            todo = iter(list(letters))
            while batch := list(islice(todo, BATCH)):
                yield from self._batch(producer, [one for one in batch if one.id not in done])
        finally:
            producer.close()

    def _batch(self, producer: Producer, letters: Sequence[Letter]) -> list[Refusal]:
        refusals: list[Refusal] = []
        ready: list[tuple[Way, Letter]] = []
        for letter in letters:
            try:
                ready.append(self.ready(letter))
            except RecordError as error:
                refusals.append(Refusal(letter, str(error)))
        if not ready:
            return refusals
        self._make_topics({way.to.topic: way.partitions for way, _ in ready if way.partitions})
        with self._box.transaction(producer):
            for way, letter in ready:
                self._write(producer, way, letter)
        for way, _ in ready:
            self.written[way.to.topic] = self.written.get(way.to.topic, 0) + 1
        return refusals

    def _make_topics(self, counts: Mapping[str, int]) -> None:
        """Make the topics of events that enter at stages, as far as there are none. They are purged after use."""
        box = self._box
        missing = {name: n for name, n in counts.items() if name not in box.existing}
        letters = self._described(box.topic)
        config = {"retention.ms": "-1", "cleanup.policy": "delete"}
        if letters is not None and letters.message_bytes_max > MESSAGE_BYTES_MIN:
            config["max.message.bytes"] = str(letters.message_bytes_max)
        if missing:
            box.admin.create(
                [NewTopic(name=name, partitions=n, config=config) for name, n in missing.items()]
            )
            box.existing.update(missing)
        for name, count in counts.items():
            if box.existing[name] < count:
                box.admin.add_partitions(name, count)
                box.existing[name] = count

    def _write(self, producer: Producer, way: Way, letter: Letter) -> None:
        box = self._box
        own_ms = letter.timestamp_ms if way.partitions else letter.source_timestamp_ms
        timestamp = 0 if self._is_now else max(own_ms, 0)
        given = (way.to.topic, letter.value, letter.key, way.to.partition)
        producer.produce(*given, None, None, timestamp, way.headers)
        box.ledger.note(producer, letter.id, Done("replayed", box.clock.now_ms()))

    def _whole(self, letter: Letter) -> Letter:
        """The letter with what it leaves out: a value that was too large, or that of a record behind a keyed stage."""
        source = letter.source
        if source is None:
            return letter
        if letter.is_event and letter.is_edited:
            raise RecordError(
                f"what was edited is the event that came to stage '{letter.stage}'; the topic that its record was read from"
                " holds no such events"
            )
        if letter.is_edited or (letter.value is not None and not letter.is_event):
            return letter
        found = (
            self._box.record(source, letter.source_offset) if letter.source_offset >= 0 else None
        )
        if found is None or (letter.is_event and found.value() is None):
            if letter.is_event:
                raise RecordError(
                    f"the record {source}@{letter.source_offset} that its event was made of is gone"
                )
            if letter.raw(OMITTED) is not None:
                raise RecordError(
                    f"it has no value, and the record {source}@{letter.source_offset} that failed is gone;"
                    " headrace dlq edit --value gives it one"
                )
            return letter  # a tombstone
        own = [pair for pair in letter.headers if pair[0].startswith(OWN)]
        known = {name for name, _ in own}
        theirs = [pair for pair in found.headers() or () if pair[0] not in known]
        return replace(letter, key=found.key(), value=found.value(), headers=[*theirs, *own])

    def _described(self, name: str) -> TopicDescription | None:
        if name not in self._topics:
            self._topics |= dict.fromkeys([name]) | self._box.admin.describe([name])
        return self._topics[name]

    def _all_topics(self) -> Iterator[TopicDescription]:
        names = {
            name
            for sub in self._plan.sub_topologies
            for source in sub.sources
            for name in source.topics
        }
        return iter(self._box.admin.describe(names).values())
