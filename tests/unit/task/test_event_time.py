"""How far the inputs of a task have come, and what is remembered of that."""

from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.task.event_time import MarkedInput, marker


class Task:
    def advance(self) -> None:
        """Nothing is due."""


def told(high: int) -> MemoryMessage:
    return MemoryMessage("topic", 0, 0, marker("orders", 1, {0: high}, []), None, None, 1, 0)


def test_what_was_remembered_stays_as_it_was_when_the_input_goes_on() -> None:
    marked = MarkedInput(Task(), ["orders"])
    marked.mark(told(10))
    remembered = marked.remembered()
    marked.mark(told(20))

    assert remembered == {"orders": {"count": 1, "high": {"0": 10}, "idle": []}}


def test_an_input_goes_back_to_what_was_remembered() -> None:
    marked = MarkedInput(Task(), ["orders"])
    marked.mark(told(10))
    remembered = marked.remembered()
    marked.mark(told(20))
    marked.remember(remembered)

    assert marked.high == 10
