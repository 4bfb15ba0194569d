import sys
from collections.abc import Callable

import pytest

from benchmarks.contender import CONTENDERS, DEFAULT, Contender, ContenderError, Task, run
from benchmarks.contenders.measurement import Measurement, asked

TASK = Task(brokers="b:1", source="s", target="t", group="g", records=10)


def program(source: str) -> Contender:
    command: Callable[[Task], list[str]] = lambda _: [sys.executable, "-c", source]  # noqa: E731 # one line of a fixture
    return Contender(name="peer", version=lambda: "1", command=command)


def test_every_default_contender_exists() -> None:
    assert set(DEFAULT) <= set(CONTENDERS)


def test_a_slow_contender_gets_fewer_records_but_never_more_than_wanted() -> None:
    assert CONTENDERS["faust"].records(4_000_000) == 50_000
    assert CONTENDERS["faust"].records(1_000) == 1_000
    assert CONTENDERS["headrace"].records(4_000_000) == 4_000_000


def test_the_result_is_the_last_line_a_contender_prints(capsys: pytest.CaptureFixture[str]) -> None:
    measurement = Measurement()
    measurement.begin()
    measurement.committed()
    measurement.report("peer", "g", 10)
    line = capsys.readouterr().out.strip()

    result = run(program(f"print('noise'); print({line!r})"), TASK)

    assert (result.contender, result.group, result.records) == ("peer", "g", 10)


def test_a_contender_that_fails_is_quoted() -> None:
    with pytest.raises(ContenderError, match=r"peer ended with exit code 1:[\s\S]*no such topic"):
        run(program("raise SystemExit('no such topic')"), TASK)


def test_the_command_of_a_contender_in_python_says_all_of_its_work() -> None:
    arguments = CONTENDERS["handwritten-guarded"].command(TASK)[3:]

    work = asked(arguments)

    assert (work.brokers, work.source, work.target, work.group) == ("b:1", "s", "t", "g")
    assert work.records == 10
    assert work.options == ("guarded",)
