"""How far inputs have come, by their records or by the markers of those who write them, and what of it is remembered."""

import orjson

from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.state.codec import decode, encode
from headrace.runtime.task.event_time import UNKNOWN, Input, MarkedInput, marker, watermark_of


class Advances:
    """Notes how far an input was when it told that it had gone on."""

    def __init__(self) -> None:
        self.count = 0

    def advance(self) -> None:
        self.count += 1


def marked(*upstreams: str) -> tuple[MarkedInput, Advances]:
    task = Advances()
    return MarkedInput(task, upstreams or ["orders"]), task


def mark(
    input_: MarkedInput,
    at: dict[int, int],
    *,
    of: int = 2,
    idle: tuple[int, ...] = (),
    name: str = "orders",
) -> None:
    key = marker(name, of, {str(task): high for task, high in at.items()}, map(str, idle))
    input_.mark(MemoryMessage("topic", 0, 0, key, None, None, 1, 0))


def test_a_topic_has_come_as_far_as_the_slowest_task_that_writes_to_it() -> None:
    input_, _ = marked()
    mark(input_, {0: 50})
    assert input_.high == UNKNOWN

    mark(input_, {1: 20})

    assert input_.high == 20


def test_a_topic_waits_for_all_that_write_to_it() -> None:
    input_, _ = marked("orders", "users")
    mark(input_, {0: 50, 1: 50})
    assert input_.high == UNKNOWN

    mark(input_, {0: 30}, of=1, name="users")

    assert input_.high == 30


def test_a_task_that_is_idle_holds_nobody_up_until_it_goes_on() -> None:
    input_, _ = marked()
    mark(input_, {0: 50, 1: 20}, idle=(1,))
    assert input_.high == 50

    mark(input_, {1: 30})
    mark(input_, {0: 80})

    assert (input_.high, input_.is_idle) == (50, False)
    mark(input_, {1: 60})
    assert input_.high == 60


def test_where_all_are_idle_the_fastest_counts_and_it_is_told_once() -> None:
    input_, task = marked()
    mark(input_, {0: 50, 1: 20}, idle=(0, 1))
    told = task.count
    mark(input_, {0: 50, 1: 20}, idle=(0, 1))

    assert (input_.high, input_.is_idle) == (50, True)
    assert (told, task.count) == (1, 1)


def test_a_task_that_begins_anew_elsewhere_does_not_set_the_time_back() -> None:
    input_, _ = marked()
    mark(input_, {0: 50, 1: 20})
    mark(input_, {1: 5})

    assert input_.high == 20


def test_a_topic_that_gets_more_writers_waits_for_them() -> None:
    input_, _ = marked()
    mark(input_, {0: 50}, of=1)
    mark(input_, {0: 90}, of=2)

    assert input_.high == 50


def test_markers_of_a_stage_that_is_gone_are_passed_over() -> None:
    input_, task = marked()
    mark(input_, {0: 50, 1: 50}, name="old")

    assert (input_.high, task.count) == (UNKNOWN, 0)


def test_the_task_is_told_only_of_what_is_due() -> None:
    input_, task = marked()
    mark(input_, {0: 10, 1: 10})
    input_.due = 30
    mark(input_, {0: 20, 1: 20})
    assert task.count == 1

    mark(input_, {0: 30, 1: 40})

    assert task.count == 2


def test_what_is_remembered_is_a_copy_that_later_markers_do_not_change() -> None:
    input_, _ = marked()
    mark(input_, {0: 50, 1: 20})
    remembered = input_.remembered()
    before = orjson.dumps(remembered)

    mark(input_, {0: 90, 1: 80})

    assert orjson.dumps(remembered) == before


def test_what_is_remembered_comes_back_out_of_a_store() -> None:
    input_, _ = marked("orders", "users")
    mark(input_, {0: 50, 1: 20}, idle=(1,))
    mark(input_, {0: 70}, of=1, name="users")
    again, _ = marked("orders", "users")

    again.remember(decode(encode(input_.remembered(), None)))

    assert (again.high, again.is_idle) == (50, False)
    assert again.remembered() == input_.remembered()


def test_a_stage_that_was_added_upstream_is_waited_for_after_a_restart() -> None:
    input_, _ = marked("orders")
    mark(input_, {0: 50, 1: 50})
    again, _ = marked("orders", "users")

    again.remember(input_.remembered())

    assert again.high == UNKNOWN


def test_an_input_that_nothing_is_known_of_begins_anew() -> None:
    input_ = Input(Advances())
    input_.high, input_.due = 70, 100

    input_.remember(None)

    assert (input_.high, input_.due) == (UNKNOWN, -1)


def test_a_task_has_come_as_far_as_its_slowest_input_that_is_not_idle() -> None:
    task = Advances()
    slow, fast, idle = Input(task), Input(task), Input(task)
    slow.high, fast.high, idle.high = 20, 50, 5
    idle.is_idle = True

    assert watermark_of([slow, fast, idle]) == 20
    slow.is_idle = fast.is_idle = True
    assert watermark_of([slow, fast, idle]) == 50
    assert watermark_of([]) == UNKNOWN
