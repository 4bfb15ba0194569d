"""What all joins share: their two sides, their keys, their value, and where late records go."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from headrace.operators.join.config import VALUE_NAMES, JoinConfig, LateTopic
from headrace.runtime.contracts.action import (
    TABLE,
    KeyedAction,
    KeyedContext,
    TableSource,
)
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.computation import Computation
from headrace.runtime.flow import did_you_mean
from headrace.runtime.task.records import decode_key

Side = Literal["left", "right"]


class KeyedJoin(KeyedAction):
    """A join of two sides under one key. Made by `Join` of a config without problems."""

    Config = JoinConfig
    config: JoinConfig
    kind: str
    """What is joined with what, for plans and for the shape of the state."""

    def __init__(self, config: JoinConfig) -> None:
        super().__init__(config)
        self.late_stage = config.late if isinstance(config.late, str) else None
        self.late_topic = config.late.topic if isinstance(config.late, LateTopic) else None
        self._left = ""
        self._right = ""
        self._value = Computation("value", config.value, *VALUE_NAMES) if config.value else None

    def outputs(self) -> tuple[str, ...]:
        return (self.late_stage,) if self.late_stage else ()

    def summary(self) -> str:
        config = self.config
        right = f"table {config.topic.table}" if config.topic else config.right or self._right
        left = config.left or self._left
        how = f"{config.type} {self.kind}"
        return f"{how}: {left or 'first input'} with {right or 'second input'}{self.detail()}"

    def detail(self) -> str:
        """What a plan says of the match, beyond which sides there are."""
        return ""

    def shape(self) -> Mapping[str, Any]:
        config = self.config
        parts = {
            "left_key": config.left_key,
            "right_key": config.right_key,
            "foreign_key": config.foreign_key,
        }
        found: dict[str, Any] = {name: part.text for name, part in parts.items() if part}
        if config.topic:
            found["table"] = config.topic.table
        return {"action": "join", "kind": self.kind, **found}

    def sides(self, senders: Sequence[str]) -> Mapping[str, str]:
        return {sender: self._side(sender) for sender in senders}

    def key(self, sender: str) -> Expression | None:
        return self.config.right_key if self._side(sender) == "right" else self.config.left_key

    def table(self) -> TableSource | None:
        topic = self.config.topic
        if topic is None:
            return None
        return TableSource(topic=topic.table, value_format=topic.format, is_global=topic.is_global)

    def check_inputs(self, inputs: Sequence[str]) -> Iterable[str]:
        """Notes which stage is on which side."""
        config = self.config
        named = [name for name in (config.left, config.right) if isinstance(name, str)]
        unknown = [name for name in named if name not in inputs]
        for name in unknown:
            field = "left" if name == config.left else "right"
            senders = ", ".join(f"'{sender}'" for sender in inputs)
            hint = did_you_mean(name, inputs) or f"; name this stage in the 'out' of '{name}'"
            yield f"{field}: '{name}' does not send to this stage, {senders} {'does' if len(inputs) == 1 else 'do'}{hint}"
        wanted = 1 if config.topic else 2
        if unknown:
            return
        if len(inputs) > wanted:
            senders = ", ".join(f"'{sender}'" for sender in inputs)
            what = "one stage beside its table" if config.topic else "two stages"
            yield f"joins the records of {what}, found {senders}; bring those of one side together in a `noop` in front"
        elif len(inputs) < wanted:
            yield (
                f"right: needs a second stage that sends to this one, found only '{inputs[0]}';"
                " or read a topic with `right: {table: topic}`"
            )
        else:
            rest = [name for name in inputs if name not in named]
            self._left = config.left or rest.pop(0)
            if not config.topic:
                self._right = config.right if isinstance(config.right, str) else rest.pop(0)

    def _side(self, sender: str) -> Side:
        return "right" if sender in (TABLE, self._right) else "left"

    def _result(self, context: KeyedContext, left: Any, right: Any, time_ms: int) -> Any:
        """The value of a result; a match that is not there is None."""
        if self._value is None:
            return {"left": left, "right": right}
        return self._value(left, right, decode_key(context.key), time_ms)


def refuse_null(event: Any) -> None:
    """Kafka Streams skips null values in front of a join of streams; here they are errors that `on_error` decides about.

    Raises:
        RecordError: the event is null.
    """
    if event is None:
        raise RecordError(
            "a record without a value (a tombstone) matches nothing, as null stands for a missing match;"
            " read the topic with `tombstones: skip`, or its stage `as: table`"
        )
