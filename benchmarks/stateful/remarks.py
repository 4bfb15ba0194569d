"""What must be known beside the figures of a work: records that were dropped, promises that are missing."""

from collections.abc import Iterator, Sequence

from benchmarks.report import Round
from benchmarks.stateful.contenders import REMARKS


def remarks(rounds: Sequence[Round]) -> Iterator[str]:
    """A line per contender and peculiarity, in the order of the contenders."""
    for name in dict.fromkeys(name for one in rounds for name in one):
        results = [one[name] for one in rounds if name in one]
        late = max(result.late for result in results)
        if late:
            worst = max(results, key=lambda result: result.late)
            yield (
                f"{name} dropped up to {worst.late:,} of {worst.records:,} records as late:"
                f" {worst.wrong:,} of its answers are wrong"
            )
        else:
            yield f"{name}: all answers are right"
        if name in REMARKS:
            yield f"  {REMARKS[name]}"


def missing(rounds: Sequence[Round], names: Sequence[str]) -> list[str]:
    """A line per contender that has no result in one of the rounds."""
    return [
        f"{name} has failed, or its answers are wrong, in {failed} of {len(rounds)} rounds"
        for name in names
        if (failed := sum(name not in one for one in rounds))
    ]
