"""Rounds of results, and the ratios between contenders of the same round."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.contender import Result

Round = Mapping[str, Result]


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and the extremes."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True)
class Ratio:
    """How one contender compares to another, pair by pair within the rounds in which both ran."""

    of: str
    to: str
    speed: Spread
    cpu: Spread


def spread(rounds: Sequence[Round], contender: str, figure: Callable[[Result], float]) -> Spread:
    """A figure of one contender over the rounds in which it ran."""
    return Spread.of([figure(one[contender]) for one in rounds if contender in one])


def ratios(rounds: Sequence[Round]) -> Iterator[Ratio]:
    """Every contender against those that came before it in the list, headrace first where it is one of them."""
    names = _names(rounds)
    names.sort(key=lambda name: not name.startswith("headrace"))
    for i, of in enumerate(names):
        for to in names[i + 1 :]:
            pairs = [(one[of], one[to]) for one in rounds if of in one and to in one]
            if pairs:
                yield Ratio(
                    of,
                    to,
                    Spread.of([a.per_second / b.per_second for a, b in pairs]),
                    Spread.of([a.cpu_us / b.cpu_us for a, b in pairs]),
                )


def text(rounds: Sequence[Round]) -> str:
    """Two tables: what each contender did, and the ratios."""
    lines = [
        f"{'contender':<24}{'records/s':>12}{'min':>12}{'max':>12}{'CPU us':>9}{'peak MB':>9}{'records':>12}"
    ]
    for name in _names(rounds):
        speed = spread(rounds, name, lambda result: result.per_second)
        cpu = spread(rounds, name, lambda result: result.cpu_us)
        peak = spread(rounds, name, lambda result: result.peak_mb)
        records = spread(rounds, name, lambda result: result.records)
        lines.append(
            f"{name:<24}{speed.median:>12,.0f}{speed.min:>12,.0f}{speed.max:>12,.0f}"
            f"{cpu.median:>9.2f}{peak.max:>9.0f}{records.max:>12,.0f}"
        )
    lines += [
        "",
        f"{'ratio, within a round':<40}{'speed':>8}{'min':>8}{'max':>8}{'CPU':>8}{'min':>8}{'max':>8}",
    ]
    for ratio in ratios(rounds):
        figures = (*asdict(ratio.speed).values(), *asdict(ratio.cpu).values())
        lines.append(
            f"{ratio.of + ' / ' + ratio.to:<40}" + "".join(f"{figure:>8.2f}" for figure in figures)
        )
    return "\n".join(lines)


def _names(rounds: Sequence[Round]) -> list[str]:
    """In the order of the first round in which each ran."""
    return list(dict.fromkeys(name for one in rounds for name in one))
