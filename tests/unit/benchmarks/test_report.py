from benchmarks.contender import Result
from benchmarks.report import Spread, ratios, text


def result(contender: str, per_second: float, cpu_us: float = 1.0) -> Result:
    return Result(
        contender=contender,
        group="g",
        records=1_000,
        seconds=1_000 / per_second,
        per_second=per_second,
        cpu_us=cpu_us,
        peak_mb=1.0,
    )


def test_a_ratio_is_of_results_of_the_same_round() -> None:
    calm = {"peer": result("peer", 100), "headrace": result("headrace", 200)}
    busy = {"peer": result("peer", 10), "headrace": result("headrace", 30)}

    (ratio,) = ratios([calm, busy, calm])

    assert (ratio.of, ratio.to) == ("headrace", "peer")
    assert ratio.speed == Spread(median=2.0, min=2.0, max=3.0)


def test_a_round_that_a_contender_failed_in_counts_for_no_ratio_of_it() -> None:
    whole = {"headrace": result("headrace", 200), "peer": result("peer", 100)}
    broken = {"headrace": result("headrace", 900)}

    (ratio,) = ratios([whole, broken])

    assert ratio.speed == Spread(2.0, 2.0, 2.0)


def test_processor_time_is_compared_the_way_round_in_which_less_is_below_one() -> None:
    (ratio,) = ratios([{"headrace": result("headrace", 1, 2.0), "peer": result("peer", 1, 4.0)}])

    assert ratio.cpu.median == 0.5


def test_the_report_names_every_contender_and_every_pair() -> None:
    found = text([{name: result(name, 100) for name in ("handwritten", "headrace", "quix")}])

    assert "headrace / handwritten" in found
    assert "headrace / quix" in found
    assert "handwritten / quix" in found
