from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.contender import Result, Task
from benchmarks.contenders.headrace_stateful import document
from benchmarks.contenders.measurement import Work, asked
from benchmarks.memory import Sample
from benchmarks.memory import text as memory_text
from benchmarks.stateful.__main__ import parsed, taking_part
from benchmarks.stateful.contenders import CONTENDERS
from benchmarks.stateful.remarks import missing, remarks
from benchmarks.stateful.restore import per_key
from benchmarks.stateful.works import KINDS


def result(contender: str, **other: float) -> Result:
    figures = {"records": 1_000, "seconds": 2.0, "per_second": 500.0, "cpu_us": 3.0, "peak_mb": 1.0}
    return Result(contender=contender, group="g", **(figures | other))  # type: ignore[arg-type] # figures of either type


def test_everybody_who_takes_part_in_a_work_is_known() -> None:
    assert {name for kind in KINDS.values() for name in kind.contenders} <= set(CONTENDERS)


def test_a_contender_that_cannot_do_a_work_is_not_asked() -> None:
    chosen = [CONTENDERS["quix"], CONTENDERS["headrace-rocksdb"]]

    assert [one.name for one in taking_part(KINDS["join"], chosen)] == ["headrace-rocksdb"]
    assert [one.name for one in taking_part(KINDS["reduce"], chosen)] == [
        "quix",
        "headrace-rocksdb",
    ]


def test_a_check_is_one_small_round() -> None:
    given = parsed(["--check", "--records", "9000000", "--rounds", "7"])

    assert (given.records, given.rounds) == (100_000, 1)


def test_an_unknown_work_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed(["--only", "reduce,windows"])

    assert "no work 'windows'; there are reduce, rekey, counter" in capsys.readouterr().err


def test_the_command_of_headrace_says_the_store_the_work_and_what_is_kept() -> None:
    task = Task(
        brokers="b:1", source="s", target="t", group="g", records=10, kept=7, options=("rekey",)
    )

    work = asked(CONTENDERS["headrace-memory"].command(task)[3:])

    assert (work.records, work.kept, work.options) == (10, 7, ("memory", "rekey"))


@pytest.mark.parametrize("name", ["reduce", "rekey", "counter", "join"])
def test_a_flow_reads_and_writes_the_topics_of_its_run(name: str, tmp_path: Path) -> None:
    work = Work("b:1", "the-source", "the-target", "g", 1, 1, ("memory", name))

    text = document(name, work, tmp_path).read_text("utf-8")

    assert "topics: the-source\n" in text
    assert "topic: the-target\n" in text


def test_a_restore_is_told_per_restored_key() -> None:
    told = per_key(result("peer", records=400, seconds=2.0, cpu_us=1_000.0), 1_000_000)

    assert (told.records, told.per_second, told.cpu_us) == (1_000_000, 500_000, 0.4)


def test_dropped_records_are_told_with_the_answers_that_they_spoil() -> None:
    rounds: list[Mapping[str, Result]] = [
        {"peer": result("peer", late=3, wrong=2)},
        {"peer": result("peer", late=700, wrong=90), "calm": result("calm")},
    ]

    lines = list(remarks(rounds))

    assert (
        lines[0] == "peer dropped up to 700 of 1,000 records as late: 90 of its answers are wrong"
    )
    assert lines[1] == "calm: all answers are right"


def test_what_a_contender_does_not_promise_is_told() -> None:
    lines = list(remarks([{"bytewax": result("bytewax")}]))

    assert "Bytewax has no Kafka transactions" in lines[1]


def test_a_contender_without_a_result_is_told() -> None:
    rounds = [{"peer": result("peer")}, {"peer": result("peer"), "other": result("other")}]

    (line,) = missing(rounds, ["peer", "other"])

    assert line == "other has failed, or its answers are wrong, in 1 of 2 rounds"


def test_memory_over_time_is_thinned_out_and_ends_with_the_peak_and_the_bar() -> None:
    samples = [Sample(float(second), 100.0 + second, second * 10) for second in range(1, 201)]

    lines = memory_text(samples, result("peer", peak_mb=345.0)).splitlines()

    assert len(lines) == 1 + 20 + 3
    assert lines[20].split() == ["200", "300", "2,000"]
    assert lines[-1] == "peak 345 MB; the bar is 1,074 MB"
