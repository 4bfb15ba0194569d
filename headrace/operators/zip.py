"""`zip`: waits for one event of each stage that sends here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from pydantic import Field

from headrace.operators.waiting import Fifo, time_after_wait
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression

TOGETHER: Final = Expression.parse("'all'")
"""The key when none is given: all records are zipped together."""


class ZipConfig(ActionConfig):
    """What is zipped together, and how much may wait."""

    key: Expression | None = Field(
        None,
        description="zip the records of one key with each other; all records together when left out",
    )
    event_limit: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="events of each sending stage that wait at most, per key; a further one is an error",
    )


class Zip(KeyedAction):
    """Keeps the events of every stage that sends here in order; as soon as each has one, it sends on a list of one of each.

    The list is in the order of the sending stages in the document. A full buffer refuses the record, and the stage's
    `on_error` decides what becomes of it.
    """

    Config = ZipConfig
    config: ZipConfig
    inputs: ClassVar[tuple[int, int | None]] = (2, None)

    def __init__(self, config: ZipConfig) -> None:
        super().__init__(config)
        self._inputs: tuple[str, ...] = ()

    def summary(self) -> str:
        key = self.config.key
        return f"by {key.text}" if key is not None else "all together"

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key or TOGETHER

    def shape(self) -> Mapping[str, Any]:
        return {"action": "zip"}

    def sides(self, senders: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002 - in the order of `check_inputs`
        return {name: str(number) for number, name in enumerate(self._inputs)}

    def check_inputs(self, inputs: Sequence[str]) -> Iterable[str]:
        self._inputs = tuple(inputs)
        if len(inputs) < 2:
            return ("needs at least two stages that send to it, one event of each makes a list",)
        return ()

    def on_record(self, context: KeyedContext, event: Any) -> None:
        assert context.input in self._inputs, context.input
        buffers = {name: Fifo(context, f"{number}/") for number, name in enumerate(self._inputs)}
        own = buffers[context.input]
        if len(own) >= self.config.event_limit:
            missing = ", ".join(f"'{name}'" for name, held in buffers.items() if not len(held))
            raise RecordError(
                f"{self.config.event_limit:,} events of stage '{context.input}' wait already, for one of {missing};"
                " raise 'event_limit' or let both send equally many"
            )
        own.push([context.timestamp_ms, event])
        if all(map(len, buffers.values())):
            taken = [held.pop() for held in buffers.values()]
            latest_ms = max(timestamp_ms for timestamp_ms, _ in taken)
            context.forward(
                [event for _, event in taken], timestamp_ms=time_after_wait(context, latest_ms, 0)
            )
