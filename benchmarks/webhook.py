"""`python -m benchmarks.webhook`: requests a second and p99 of webhooks, against a bare Starlette handler with aiokafka.

The contenders run in turn, in an order that alternates between the rounds, on the same broker and under the same load. Every
2xx is looked for in the topic. Prints figures and ratios, never a verdict.
"""

import argparse
import dataclasses
import json
import random
import statistics
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks.contender import ROOT
from benchmarks.report import Spread
from benchmarks.rounds import machine, say
from benchmarks.topics import create, records_of, remove
from benchmarks.webhooks.load import Load, send_load
from benchmarks.webhooks.server import SERVERS
from headrace.connectors.local_kafka import LocalKafka

BODY_BYTES = 8_000  # about what GitHub sends for a push
WARM_UP_S = 1.0


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one contender did in one round."""

    per_second: float
    p50_ms: float
    p99_ms: float
    accepted: int
    others: int
    missing: int


Round = Mapping[str, Figures]


def run_one(brokers: str, contender: str, given: argparse.Namespace) -> Figures:
    """One contender in a process of its own, into a topic of its own."""
    topic = f"benchmark-webhook-{contender}"
    create(brokers, topic)
    command = [sys.executable, "-m", "benchmarks.webhooks.server", contender, brokers, topic]
    try:
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            load = uvloop.run(
                send_load(
                    port,
                    _body(),
                    connections=given.connections,
                    warm_up_s=WARM_UP_S,
                    seconds=given.seconds,
                )
            )
        missing = load.accepted - sum(1 for _ in records_of(brokers, topic))
    finally:
        remove(brokers, topic)
    return _figures(load, given.seconds, missing)


def _body() -> bytes:
    """A document that cannot be compressed to nothing."""
    letters = random.Random(7).choices(string.ascii_letters, k=BODY_BYTES - 12)
    return b'{"text": "%s"}' % "".join(letters).encode()


def _figures(load: Load, seconds: float, missing: int) -> Figures:
    cuts = statistics.quantiles(load.latencies_s, n=100)
    return Figures(
        per_second=len(load.latencies_s) / seconds,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        accepted=load.accepted,
        others=sum(count for status, count in load.statuses.items() if status != 202),
        missing=missing,
    )


def report(rounds: Sequence[Round], names: Sequence[str]) -> str:
    """What each contender did, and the ratios to the first handler that a person would write."""
    lines = [
        f"{'contender':<18}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'not 202':>9}{'missing':>9}"
    ]
    for name in names:
        found = [one[name] for one in rounds]
        figures = [
            statistics.median(getattr(one, figure) for one in found)
            for figure in ("per_second", "p50_ms", "p99_ms")
        ]
        lines.append(
            f"{name:<18}{figures[0]:>12,.0f}{figures[1]:>9.1f}{figures[2]:>9.1f}"
            f"{sum(one.others for one in found):>9}{sum(one.missing for one in found):>9}"
        )
    lines += [
        "",
        f"{'ratio, within a round':<34}{'requests/s':>12}{'min':>7}{'max':>7}{'p99':>7}{'min':>7}{'max':>7}",
    ]
    for of in names:
        for to in names:
            if not to.startswith("bare") or of == to:
                continue
            speed = Spread.of([one[of].per_second / one[to].per_second for one in rounds])
            late = Spread.of([one[of].p99_ms / one[to].p99_ms for one in rounds])
            lines.append(
                f"{of + ' / ' + to:<34}{speed.median:>12.2f}{speed.min:>7.2f}{speed.max:>7.2f}"
                f"{late.median:>7.2f}{late.min:>7.2f}{late.max:>7.2f}"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhook", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each contender in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--contenders", default=",".join(SERVERS), help="a comma-separated list")
    parser.add_argument("--json", type=Path, help="write every result to this file, too")
    given = parser.parse_args(arguments)
    names = given.contenders.split(",")
    rounds: list[Round] = []
    with LocalKafka(progress=say) as kafka:
        for number in range(given.rounds):
            say(f"round {number + 1} of {given.rounds}")
            order = names if number % 2 == 0 else names[::-1]
            found = {}
            for name in order:
                found[name] = run_one(kafka.brokers, name, given)
                say(
                    f"  {name:<18}{found[name].per_second:>8,.0f}/s  p99 {found[name].p99_ms:.1f} ms"
                )
            rounds.append(found)
    print(report(rounds, names))
    if given.json:
        written = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "connections": given.connections,
            "rounds": [
                {name: dataclasses.asdict(one) for name, one in results.items()}
                for results in rounds
            ],
        }
        given.json.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
