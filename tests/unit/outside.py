"""An action `outside` whose calls are answered by a test."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.contracts.call import BatchAction, Call, Caller, Opening, Outcome
from headrace.runtime.expression import Expression, Template
from tests.unit.actions import installed

Answer = Callable[[Call], Any]


class OutsideConfig(ActionConfig):
    """What a call needs."""

    ask: Expression | None = None
    to: Expression | None = None
    password: Template | None = None
    batch_size: int = 100
    concurrency: int = 4


class Outside(BatchAction):
    """Asks the test."""

    Config = OutsideConfig
    config: OutsideConfig
    answer: ClassVar[Answer]
    batches: ClassVar[list[list[Call]]]
    opened: ClassVar[list[Opening]]
    prepared: ClassVar[int]

    @property
    def batch_size(self) -> int:
        return self.config.batch_size

    @property
    def concurrency(self) -> int:
        return self.config.concurrency

    def arguments(self) -> Mapping[str, Expression | Template]:
        given = {"ask": self.config.ask, "to": self.config.to}
        return {name: part for name, part in given.items() if part is not None}

    def settings(self) -> Mapping[str, Template]:
        return {} if self.config.password is None else {"password": self.config.password}

    def target(self, arguments: Mapping[str, Any]) -> str:
        return str(arguments.get("to", ""))

    def caller(self, opening: Opening) -> Caller:
        Outside.opened.append(opening)
        return _Caller()


class _Caller(Caller):
    async def open(self) -> None:
        await asyncio.sleep(0)  # as whoever waits for something does: others come in between
        Outside.prepared += 1

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        Outside.batches.append(list(calls))
        return [_outcome(call) for call in calls]


def _outcome(call: Call) -> Outcome:
    try:
        found = Outside.answer(call)
    except Exception as error:  # the answer of the test
        return Outcome(error=error)
    return Outcome([found])


@contextmanager
def outside(answer: Answer) -> Iterator[type[Outside]]:
    """The action is there while this lasts; `answer` gives the event to send on, or raises."""
    Outside.answer, Outside.batches, Outside.opened = staticmethod(answer), [], []
    Outside.prepared = 0
    with installed("outside", Outside):
        yield Outside
