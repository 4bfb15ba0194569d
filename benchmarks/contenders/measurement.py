"""What a contender measures of itself, and the line in which it says so.

Runs inside of every Python contender, so it imports the standard library only.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Work:
    """What a contender is asked to do: the `records` first records of `source`, as the group `group`.

    `kept` of them pass the filter, by which a stateful contender knows the end of a work with two legs.
    """

    brokers: str
    source: str
    target: str
    group: str
    records: int
    kept: int
    options: tuple[str, ...]


def asked(arguments: Sequence[str] | None = None) -> Work:
    """The work from the command line."""
    parser = argparse.ArgumentParser()
    for name in ("brokers", "source", "target", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--kept", type=int, default=0)
    parser.add_argument("options", nargs="*")
    given = vars(parser.parse_args(arguments))
    return Work(**{**given, "options": tuple(given["options"])})


class Measurement:
    """The clock and the processor time of this process, from the first record to the last commit."""

    def __init__(self) -> None:
        self._begun_s = 0.0
        self._begun_cpu_s = 0.0
        self._committed_s = 0.0
        self._committed_cpu_s = 0.0

    @property
    def is_begun(self) -> bool:
        return self._begun_s > 0

    def begin(self) -> None:
        """The first records were polled, and nothing was done with them yet."""
        self._begun_s, self._begun_cpu_s = time.perf_counter(), cpu_s()

    def committed(self) -> None:
        """A commit has succeeded; the last one counts."""
        self._committed_s, self._committed_cpu_s = time.perf_counter(), cpu_s()

    def report(self, contender: str, group: str, records: int, late: int = 0) -> None:
        """Print the result as the last line of the standard output. `late` records were dropped as such."""
        assert 0 < self._begun_s < self._committed_s, "something was read and committed"
        seconds = self._committed_s - self._begun_s
        cpu_us = (self._committed_cpu_s - self._begun_cpu_s) / records * 1e6
        result = {
            "contender": contender,
            "group": group,
            "records": records,
            "seconds": round(seconds, 3),
            "per_second": round(records / seconds),
            "cpu_us": round(cpu_us, 3),
            "peak_mb": round(peak_bytes() / 1e6, 1),
            "late": late,
        }
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


def cpu_s() -> float:
    """User and system time of all threads of this process, the native ones included."""
    times = os.times()
    return times.user + times.system


def peak_bytes() -> int:
    """The most memory that was resident.

    From the kernel's own account of this program: `ru_maxrss` begins with the size of the process that started it.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not say VmHWM; the benchmarks run on Linux")
