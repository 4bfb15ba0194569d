"""`python -m benchmarks.memory`: how much memory a worker takes while its state grows.

A running count and sum over many keys, most of them seen once; then some of them again, at random. Prints the resident
memory over time and its peak beside the bar, never a verdict.
"""

import argparse
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from confluent_kafka import KafkaException

from benchmarks.contender import Contender, ContenderError, Result, Task, run
from benchmarks.input_topic import FIRST_MS
from benchmarks.rounds import machine, say
from benchmarks.stateful.answers import check_totals, last_totals, totals_of
from benchmarks.stateful.contenders import CONTENDERS
from benchmarks.stateful.input import Event, fill_events, key_events
from benchmarks.topics import create, ends_of, records_of
from headrace.connectors.local_kafka import LocalKafka

BAR_MB = 1024 * 1024 * 1024 / 1e6
EVERY_S = 2.0
ROWS = 20
TIMEOUT_S = 3_600.0
CHECKED = 1_000
"""The answers of one key of so many are compared."""
SOURCE, TARGET = "benchmark-keys", "benchmark-totals"


@dataclass(frozen=True)
class Sample:
    """The memory that a process had resident, and how many results it had written, so many seconds after its start."""

    seconds: float
    resident_mb: float
    results: int


class Sampler:
    """Looks at a process now and then, in a thread of its own, until it is stopped or the process has ended."""

    def __init__(self, brokers: str) -> None:
        self.samples: list[Sample] = []
        self._brokers = brokers
        self._stopped = Signal()
        self._thread: Thread | None = None

    def start(self, process: int) -> None:
        """Begin to look."""
        self._thread = Thread(target=self._look, args=(process,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread:
            self._thread.join()

    def _look(self, process: int) -> None:
        begun_s = time.monotonic()
        while not self._stopped.wait(EVERY_S):
            try:
                resident_mb = resident_bytes(process) / 1e6
            except OSError:
                return
            try:
                results = ends_of(self._brokers, TARGET)
            except KafkaException:  # a broker that is too busy to say; the next look is soon
                continue
            self.samples.append(Sample(time.monotonic() - begun_s, resident_mb, results))


def resident_bytes(process: int) -> int:
    """The resident memory of a process, from the kernel."""
    return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def key_stream(keys: int, updates: int) -> Iterator[Event]:
    """Every key once, and then some of them again."""
    choose = random.Random(1)
    again = (choose.randrange(keys) for _ in range(updates))
    return chain(key_events(range(keys)), key_events(again, FIRST_MS + keys))


def text(samples: Sequence[Sample], result: Result) -> str:
    """A table of at most some 20 rows, and the peak."""
    lines = [f"{'seconds':>10}{'resident MB':>14}{'results':>14}"]
    step = max(1, -(-len(samples) // ROWS))
    lines += [
        f"{one.seconds:>10.0f}{one.resident_mb:>14.0f}{one.results:>14,}"
        for one in samples[step - 1 :: step]
    ]
    lines += [
        "",
        f"{result.contender}: {result.records:,} records, {result.per_second:,.0f}/s, {result.cpu_us:.2f} us CPU each",
        f"peak {result.peak_mb:,.0f} MB; the bar is {BAR_MB:,.0f} MB",
    ]
    return "\n".join(lines)


def measure(
    brokers: str, contender: Contender, keys: int, updates: int
) -> tuple[Result, list[Sample]]:
    """Run the contender over the filled topic, and compare some of its answers.

    Raises:
        ContenderError: it failed, or one of them is wrong.
    """
    sampler = Sampler(brokers)
    task = Task(
        brokers=brokers,
        source=SOURCE,
        target=TARGET,
        group=f"{contender.name}-{uuid.uuid4()}",
        records=keys + updates,
        kept=keys + updates,
        options=("counter",),
    )
    try:
        result = run(contender, task, timeout_s=TIMEOUT_S, started=sampler.start)
    finally:
        sampler.stop()
    say("comparing answers")
    looked_at = {f"user-{key}" for key in range(0, keys, CHECKED)}
    found = last_totals(
        (one for one in records_of(brokers, TARGET) if (one.key() or b"").decode() in looked_at),
        contender.name,
    )
    asked = (event for event in key_stream(keys, updates) if event["user"] in looked_at)
    check_totals(contender.name, totals_of(asked, None), found, 0)
    return result, sampler.samples


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 whatever the figures are, 1 when the contender failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument(
        "--updates", type=int, default=1_000_000, help="records of keys seen before"
    )
    parser.add_argument(
        "--contender",
        choices=[name for name, one in CONTENDERS.items() if one.records_max is None],
        default="headrace-rocksdb",
    )
    parser.add_argument("--json", type=Path, help="write every sample to this file, too")
    given = parser.parse_args(arguments)
    contender = CONTENDERS[given.contender]
    with LocalKafka(progress=say) as kafka:
        say(f"writing {given.keys:,} keys, and {given.updates:,} of them again, to {SOURCE}")
        fill_events(kafka.brokers, SOURCE, key_stream(given.keys, given.updates), "user")
        create(kafka.brokers, TARGET)
        say(f"running {contender.name}")
        try:
            result, samples = measure(kafka.brokers, contender, given.keys, given.updates)
        except ContenderError as error:
            say(str(error))
            return 1
    print(text(samples, result))
    if given.json:
        found = {
            "machine": machine(),
            "version": contender.version(),
            "result": asdict(result),
            "samples": [asdict(one) for one in samples],
        }
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
