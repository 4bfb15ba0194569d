"""The contenders: how each is started, and how many records it gets."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments.java_environment import class_path
from benchmarks.environments.python_environment import python_of

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One contender. `records_max` spares the slow ones: they get the first records of the same topic.

    `command` makes the environment when it is missing, and returns what starts the program.
    """

    name: str
    version: Callable[[], str]
    command: Callable[["Task"], list[str]]
    records_max: int | None = None

    def records(self, wanted: int) -> int:
        return wanted if self.records_max is None else min(wanted, self.records_max)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a contender is asked to do."""

    brokers: str
    source: str
    target: str
    group: str
    records: int
    kept: int = 0  # how many of the records pass the filter; the stateful contenders end by it
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a contender has measured of itself, between the first record and the last commit.

    `late` is how many records it says that it dropped as late, and `wrong` how many answers are wrong for it. `other_cores`
    is what was measured around it: the cores that were busy with other programs, on average.
    """

    contender: str
    group: str
    records: int
    seconds: float
    per_second: float
    cpu_us: float
    peak_mb: float
    late: int = 0
    wrong: int = 0
    other_cores: float = 0.0


class ContenderError(Exception):
    """A contender has not done its work."""


def run(
    contender: Contender,
    task: Task,
    *,
    timeout_s: float = TIMEOUT_S,
    started: Callable[[int], None] = lambda _: None,
) -> Result:
    """Run a contender in a process of its own, to the end. `started` is told the id of the process.

    Raises:
        ContenderError: it failed, printed no result, or took longer than `timeout_s`; ends with what it said.
    """
    command = contender.command(task)
    with (
        tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as temporary,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        started(process.pid)
        try:
            out, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ContenderError(f"{contender.name} took longer than {timeout_s:g} s") from error
        finally:
            process.kill()
    lines = out.splitlines()
    if process.returncode or not lines:
        said = "\n".join((out + errors).splitlines()[-20:])
        raise ContenderError(f"{contender.name} ended with exit code {process.returncode}:\n{said}")
    return Result(**json.loads(lines[-1]))


def in_python(
    interpreter: Callable[[], str], module: str, options: Sequence[str] = ()
) -> Callable[[Task], list[str]]:
    """What starts one of the modules of `benchmarks.contenders`."""

    def command(task: Task) -> list[str]:
        given = [f"--brokers={task.brokers}", f"--source={task.source}", f"--target={task.target}"]
        given += [f"--group={task.group}", f"--records={task.records}", f"--kept={task.kept}"]
        given += [*options, *task.options]
        return [interpreter(), "-m", f"benchmarks.contenders.{module}", *given]

    return command


def _java(task: Task) -> list[str]:
    given = [task.brokers, task.source, task.target, task.group, str(task.records)]
    return ["java", "-cp", class_path(), "StreamsContender", *given]


def version_in(interpreter: Callable[[], str], *packages: str) -> Callable[[], str]:
    """What says the versions of packages of an environment."""

    def version() -> str:
        code = "import sys; from importlib.metadata import version\nfor name in sys.argv[1:]: print(name, version(name))"
        asked = [interpreter(), "-c", code, *packages]
        told = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True)
        return ", ".join(told.stdout.splitlines())

    return version


def this_python() -> str:
    """The interpreter that the benchmark runs in."""
    return sys.executable


def _quix() -> str:
    return python_of("quix")


def _faust() -> str:
    return python_of("faust")


def _handwritten(kind: str) -> Contender:
    return Contender(
        name=f"handwritten-{kind}" if kind else "handwritten",
        version=version_in(this_python, "confluent-kafka", "orjson"),
        command=in_python(this_python, "handwritten", [kind] if kind else []),
    )


_ALL = [
    _handwritten(""),
    Contender(
        name="headrace",
        version=version_in(this_python, "headrace", "confluent-kafka", "orjson"),
        command=in_python(this_python, "headrace_worker"),
    ),
    Contender(name="kafka-streams", version=lambda: "kafka-streams 4.3.1", command=_java),
    Contender(
        name="quix",
        version=version_in(_quix, "quixstreams", "confluent-kafka"),
        command=in_python(_quix, "quix_streams"),
        records_max=400_000,
    ),
    Contender(
        name="faust",
        version=version_in(_faust, "faust-streaming", "aiokafka", "uvloop"),
        command=in_python(_faust, "faust_agent"),
        records_max=50_000,
    ),
    *(_handwritten(kind) for kind in ("keywords", "timestamps", "headers", "guarded")),
]
CONTENDERS: Mapping[str, Contender] = {contender.name: contender for contender in _ALL}
DEFAULT = ("handwritten", "headrace", "kafka-streams", "quix", "faust")
