"""`hydrate` with data of another system: what a lookup (`contracts.lookup`) finds, put into events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from headrace.operators.answer_cache import UNKNOWN, AnswerCache
from headrace.operators.hydrate_config import HydrateConfig
from headrace.operators.identity import identity_of
from headrace.runtime.contracts.call import (
    BatchAction,
    Call,
    Caller,
    CallFailedError,
    Opening,
    Outcome,
)
from headrace.runtime.contracts.lookup import Finder, Lookup, Question
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression, Template
from headrace.runtime.expression.errors import described
from headrace.runtime.task.records import decode_key

KEY: Final = "hydrate_key"
NOTHING: Final[Mapping[str, Any]] = {}
OF_TABLES: Final = {
    "is_global": "global",
    "format": "format",
    "as_of": "as_of",
    "history": "history",
}


class HydrateLookup(BatchAction):
    """Adds what a lookup finds. Equal questions of a batch are asked once, and answers remembered where `cache` says so."""

    def __init__(self, name: str, kind: type[Lookup], config: HydrateConfig) -> None:
        super().__init__(config)
        self._name = name
        self._lookup = kind(getattr(config, name))

    @property
    def batch_size(self) -> int:
        return self._lookup.batch_size

    @property
    def concurrency(self) -> int:
        return self._lookup.concurrency

    def summary(self) -> str:
        config = self.config
        what = ", ".join(config.select) or "what is found"
        key = f" by {config.key.text}" if config.key else ""
        where = "the event" if config.merge else config.into
        return f"{what} in {self._lookup.summary()}{key} into {where}"

    def arguments(self) -> Mapping[str, Expression | Template]:
        key = {} if self.config.key is None else {KEY: self.config.key}
        return {**self._lookup.arguments(), **key}

    def settings(self) -> Mapping[str, Template]:
        return self._lookup.settings()

    def target(self, arguments: Mapping[str, Any]) -> str:
        return self._lookup.target(arguments)

    def caller(self, opening: Opening) -> Caller:
        finder = self._lookup.finder(opening)
        asks_more = bool(self._lookup.arguments())
        return LookupCaller(
            self.config, finder, opening, is_keyed=self._lookup.is_keyed, asks_more=asks_more
        )


def lookup_problems(
    config: HydrateConfig, name: str, kind: type[Lookup], missing: Sequence[str]
) -> Iterator[str]:
    """What is wrong with a `hydrate` whose source is a lookup."""
    lookup = kind(getattr(config, name))
    for text in lookup.problems():
        yield f"{name}: {text}"
    if not config.merge and config.into is None:
        yield f"into: what `{name}` finds needs 'into', the field that gets it, or 'merge'"
    if config.missing not in missing:
        yield (
            f"missing: with `{name}` it is one of {', '.join(missing)}; put a `branch` behind this stage to send records"
            " without an answer elsewhere"
        )
    if config.key is not None and not lookup.is_keyed:
        yield f"key: `{name}` looks for what its own fields say, which may mention the event"
    for field, shown in OF_TABLES.items():
        if field in config.model_fields_set:
            yield f"{shown}: goes with `table` only"


class LookupCaller(Caller):
    """Asks what is not remembered, and puts the answers into the events.

    Args:
        is_keyed: whether there is a key that is looked for.
        asks_more: whether a question needs more of its record than the key.
    """

    def __init__(
        self,
        config: HydrateConfig,
        finder: Finder,
        opening: Opening,
        *,
        is_keyed: bool,
        asks_more: bool,
    ) -> None:
        self._config = config
        self._is_keyed = is_keyed
        self._asks_more = asks_more
        self._finder = finder
        self._cache = AnswerCache(config.cache, opening.clock) if config.cache else None

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        asked: list[Question | RecordError | None] = []
        for call in calls:
            try:
                asked.append(self._question(call))
            except RecordError as error:
                asked.append(error)
        answers = await self._answers([one for one in asked if one.__class__ is Question])
        outcomes: list[Outcome] = []
        into = None if self._config.select or self._config.merge else self._config.into
        for call, one in zip(calls, asked, strict=True):
            answer = answers[one.id] if one.__class__ is Question else None
            if answer.__class__ is dict and into is not None:  # most are so
                outcomes.append(Outcome(({**call.event, into: answer},)))
            else:
                outcomes.append(self._outcome(call, one, answer))
        return outcomes

    async def close(self) -> None:
        await self._finder.close()

    def _question(self, call: Call) -> Question | None:
        """What a record asks; None where its key is null, for which there is nothing."""
        if not isinstance(call.event, dict):
            raise RecordError(
                f"hydrate adds to events that are maps, found {described(call.event)}"
            )
        arguments = call.arguments
        if not self._is_keyed:
            return Question(None, arguments, identity_of(arguments, "request"))
        key = arguments[KEY] if KEY in arguments else decode_key(call.key)
        if key is None:
            return None
        if not self._asks_more:
            kind = key.__class__
            quick = str(key) if kind is int else "text " + str(key) if kind is str else None
            return Question(key, NOTHING, quick or identity_of(key, "key"))
        others = {name: value for name, value in arguments.items() if name != KEY}
        return Question(key, others, identity_of([key, others], "key"))

    async def _answers(self, questions: Iterable[Question]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        open_ones: dict[str, Question] = {}
        for question in questions:
            held = UNKNOWN if self._cache is None else self._cache.get(question.id)
            if held is UNKNOWN:
                open_ones[question.id] = question
            else:
                answers[question.id] = held
        if open_ones:
            found = await self._finder.find(list(open_ones.values()))
            for question_id, answer in zip(open_ones, found, strict=True):
                answers[question_id] = answer
                if self._cache is not None and not isinstance(answer, Exception):
                    self._cache.put(question_id, answer)
        return answers

    def _outcome(self, call: Call, asked: Question | RecordError | None, answer: Any) -> Outcome:
        if isinstance(asked, RecordError):
            return Outcome(error=asked)
        if isinstance(answer, Exception):
            return Outcome(error=answer)
        try:
            return Outcome(self._events(call.event, answer))
        except RecordError as error:
            return Outcome(error=error)

    def _events(self, event: dict[str, Any], answer: Any) -> tuple[Any, ...]:
        config = self._config
        if answer is None:
            if config.missing == "fail":
                raise CallFailedError("nothing was found for this record; see 'missing'")
            if config.missing == "drop":
                return ()
            return (event if config.merge else {**event, config.into: None},)
        found = self._selected(answer) if config.select else answer
        if not config.merge:
            return ({**event, config.into: found},)
        if not isinstance(found, dict):
            raise CallFailedError(
                f"what is found is merged into the event, so it must be a map, found {described(found)}"
            )
        return ({**event, **found},)

    def _selected(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return [self._selected(one) for one in answer]
        if not isinstance(answer, dict):
            raise CallFailedError(f"select: what is found has no fields, it is {described(answer)}")
        lacking = [name for name in self._config.select if name not in answer]
        if lacking:
            names = ", ".join(list(answer)[:10])
            raise CallFailedError(
                f"select: what is found has no field '{lacking[0]}'; it has {names}"
            )
        return {name: answer[name] for name in self._config.select}
