"""`python -m benchmarks.stateless`: filter, add a field, publish; exactly once.

The contenders run in turn, in an order that alternates between the rounds, on the same topic of the same broker.
Prints figures and ratios, never a verdict.
"""

import argparse
import dataclasses
import json
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contender import CONTENDERS, DEFAULT, Contender, Result, Task, run
from benchmarks.correctness import check
from benchmarks.fairness import differences
from benchmarks.input_topic import Input, fill
from benchmarks.processor_time import OtherLoad
from benchmarks.report import ratios, text
from benchmarks.rounds import chosen_from, machine, run_rounds, say
from benchmarks.topics import create, remove
from headrace.connectors.local_kafka import LocalKafka

SOURCE = "benchmark-events"


def run_one(kafka: LocalKafka, contender: Contender, source: Input, wanted: int) -> Result:
    """One contender, into a topic of its own, with its check.

    Raises:
        ContenderError: it failed, or what it wrote is not what it should be.
    """
    target = f"benchmark-totals-{contender.name}"
    create(kafka.brokers, target)
    try:
        task = Task(
            brokers=kafka.brokers,
            source=source.topic,
            target=target,
            group=f"{contender.name}-{uuid.uuid4()}",
            records=contender.records(wanted),
        )
        others = OtherLoad(kafka.process.pid if kafka.process else None)
        result = run(contender, task)
        result = dataclasses.replace(result, other_cores=round(others.cores(), 2))
        written = check(kafka.brokers, contender, result, source, target)
    finally:
        remove(kafka.brokers, target)
    say(
        f"  {contender.name:<24}{result.per_second:>10,.0f}/s  {result.cpu_us:6.2f} us CPU  {result.peak_mb:5.0f} MB  "
        f"{result.records:,} in, {written:,} out; others used {result.other_cores:.2f} cores"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stateless", description=__doc__)
    parser.add_argument("--records", type=int, default=4_000_000, help="records of the input topic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--contenders",
        type=chosen_from(CONTENDERS),
        default=",".join(DEFAULT),
        help="a comma-separated list",
    )
    parser.add_argument("--json", type=Path, help="write every result to this file, too")
    given = parser.parse_args(arguments)
    for difference in differences():
        say(f"not the same settings: {difference}")
    versions = {contender.name: contender.version() for contender in given.contenders}
    with LocalKafka(progress=say) as kafka:
        say(f"writing {given.records:,} records to {SOURCE}")
        source = fill(kafka.brokers, SOURCE, given.records)
        rounds = run_rounds(
            given.contenders,
            given.rounds,
            lambda contender: run_one(kafka, contender, source, given.records),
        )
        broker = f"Apache Kafka {kafka.version}, one node"
    print(text(rounds))
    if given.json:
        found = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "broker": broker,
            "versions": versions,
            "rounds": [
                {name: dataclasses.asdict(one) for name, one in results.items()}
                for results in rounds
            ],
            "ratios": [dataclasses.asdict(ratio) for ratio in ratios(rounds)],
        }
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
