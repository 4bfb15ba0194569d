"""`python -m benchmarks.stateful`: works that need state, exactly once, with changelogs.

Every contender's answers are compared with those computed from the input. Prints figures and ratios, never a verdict on speed;
with `--check` it runs over a small input and says only whether the answers are right.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.fairness import differences
from benchmarks.report import Round, ratios, text
from benchmarks.rounds import chosen_from, machine, run_rounds, say
from benchmarks.stateful.arena import Arena
from benchmarks.stateful.contenders import CONTENDERS
from benchmarks.stateful.remarks import missing, remarks
from benchmarks.stateful.restore import Restore
from benchmarks.stateful.works import KINDS, Kind
from headrace.connectors.local_kafka import LocalKafka

CHECKED_RECORDS = 100_000
CHECKED_KEYS = 5_000


def taking_part(kind: Kind, chosen: Sequence[Contender]) -> list[Contender]:
    """Those of the chosen contenders that can do this work."""
    return [contender for contender in chosen if contender.name in kind.contenders]


def run_kind(kafka: LocalKafka, arena: Arena, kind: Kind, given: argparse.Namespace) -> list[Round]:
    """All rounds of one work."""
    say(f"{kind.name}: {kind.title}")
    contenders = taking_part(kind, given.contenders)
    if kind.name != "restore":
        return run_rounds(
            contenders, given.rounds, lambda contender: arena.run(kind, contender, given.records)
        )
    restore = Restore(arena, kafka, given.keys)
    contenders = restore.prepare(contenders)
    try:
        return run_rounds(contenders, given.rounds, restore.run, restore.ask)
    finally:
        restore.clean()


def kinds(names: str) -> list[Kind]:
    """The works of a comma-separated list."""
    unknown = [name for name in names.split(",") if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no work '{unknown[0]}'; there are {', '.join(KINDS)}")
    return [KINDS[name] for name in names.split(",")]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `--check` makes it small."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stateful", description=__doc__)
    parser.add_argument("--only", type=kinds, default=",".join(KINDS), help="works, with commas")
    parser.add_argument("--records", type=int, default=1_000_000, help="records per work")
    parser.add_argument("--keys", type=int, default=500_000, help="keys of the restore")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--contenders",
        type=chosen_from(CONTENDERS),
        default=",".join(CONTENDERS),
        help="a comma-separated list",
    )
    parser.add_argument("--check", action="store_true", help="only see that answers are right")
    parser.add_argument("--json", type=Path, help="write every result to this file, too")
    given = parser.parse_args(arguments)
    if given.check:
        given.records, given.keys, given.rounds = CHECKED_RECORDS, CHECKED_KEYS, 1
    return given


def found(
    given: argparse.Namespace, versions: Mapping[str, str], works: Mapping[str, Sequence[Round]]
) -> dict[str, object]:
    """Everything that was measured, for a file."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "works": {
            name: {
                "rounds": [
                    {who: dataclasses.asdict(one) for who, one in results.items()}
                    for results in rounds
                ],
                "ratios": [dataclasses.asdict(ratio) for ratio in ratios(rounds)],
            }
            for name, rounds in works.items()
        },
        "records": given.records,
        "keys": given.keys,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are. With `--check`, 1 when a contender failed or was wrong."""
    given = parsed(arguments)
    for difference in differences():
        say(f"not the same settings: {difference}")
    used = {one.name: one for kind in given.only for one in taking_part(kind, given.contenders)}
    versions = {name: contender.version() for name, contender in used.items()}
    works: dict[str, list[Round]] = {}
    with LocalKafka(progress=say) as kafka:
        arena = Arena(kafka)
        for kind in given.only:
            works[kind.name] = run_kind(kafka, arena, kind, given)
    is_complete = True
    for kind in given.only:
        rounds = works[kind.name]
        left_out = missing(rounds, [one.name for one in taking_part(kind, given.contenders)])
        is_complete = is_complete and not left_out
        print(f"{kind.name}: {kind.title}")
        if any(rounds) and not given.check:
            print(text(rounds))
        for line in (*remarks(rounds), *left_out):
            print(f"  {line}")
        print()
    if given.json:
        content = json.dumps(found(given, versions, works), indent=1)
        given.json.write_text(content + "\n", "utf-8")
    return 1 if given.check and not is_complete else 0


if __name__ == "__main__":
    sys.exit(main())
