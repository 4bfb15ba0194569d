"""Rounds: the contenders in turn, in an order that alternates, and what they ran on."""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.contender import Contender, ContenderError, Result
from benchmarks.report import Round


def say(line: str) -> None:
    """Progress; the report alone goes to the standard output."""
    print(line, file=sys.stderr, flush=True)


def run_rounds(
    contenders: Sequence[Contender],
    count: int,
    run_one: Callable[[Contender], Result],
    before: Callable[[], None] = lambda: None,
) -> list[Round]:
    """All contenders, `count` times; every other round backwards. One that fails is left out of its round.

    `before` is called before each round.
    """
    rounds: list[Round] = []
    for number in range(1, count + 1):
        say(f"round {number} of {count}")
        before()
        results: dict[str, Result] = {}
        for contender in contenders if number % 2 else reversed(contenders):
            try:
                results[contender.name] = run_one(contender)
            except ContenderError as error:
                say(f"  left out of this round: {error}")
        rounds.append(results)
    return rounds


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def chosen_from(known: Mapping[str, Contender]) -> Callable[[str], list[Contender]]:
    """A parser of comma-separated lists of contenders."""

    def chosen(names: str) -> list[Contender]:
        unknown = [name for name in names.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"no contender '{unknown[0]}'; there are {', '.join(known)}"
            )
        return [known[name] for name in names.split(",")]

    return chosen
