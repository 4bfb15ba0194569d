import argparse

import pytest

from benchmarks.contender import CONTENDERS, Contender, ContenderError, Result
from benchmarks.rounds import chosen_from, run_rounds

CHOSEN = [CONTENDERS["handwritten"], CONTENDERS["headrace"]]


def result(contender: Contender) -> Result:
    return Result(
        contender=contender.name,
        group="g",
        records=1,
        seconds=1.0,
        per_second=1.0,
        cpu_us=1.0,
        peak_mb=1.0,
    )


def test_every_other_round_is_run_backwards_after_what_comes_before_a_round() -> None:
    order: list[str] = []

    def run_one(contender: Contender) -> Result:
        order.append(contender.name)
        return result(contender)

    run_rounds(CHOSEN, 2, run_one, lambda: order.append("before"))

    assert order == ["before", "handwritten", "headrace", "before", "headrace", "handwritten"]


def test_a_contender_that_fails_is_left_out_of_its_round_only() -> None:
    failures = ["handwritten"]

    def run_one(contender: Contender) -> Result:
        if contender.name in failures:
            failures.remove(contender.name)
            raise ContenderError("it did not start")
        return result(contender)

    rounds = run_rounds(CHOSEN, 2, run_one)

    assert [sorted(one) for one in rounds] == [["headrace"], ["handwritten", "headrace"]]


def test_a_contender_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert chosen_from(CONTENDERS)("faust,quix") == [CONTENDERS["faust"], CONTENDERS["quix"]]
    with pytest.raises(argparse.ArgumentTypeError, match="no contender 'flink'; there are handw"):
        chosen_from(CONTENDERS)("quix,flink")
