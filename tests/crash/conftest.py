"""Flows to be crashed, whose workers end with the test, however it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.harness import Crash
from tests.crash.pipe import Pipe
from tests.crash.stateful import Stateful

CrashFactory = Callable[..., Crash]
StatefulFactory = Callable[..., Stateful]
PipeFactory = Callable[..., Pipe]


@pytest.fixture
def crash_of(tmp_path: Path) -> Iterator[CrashFactory]:
    """Makes a flow on a broker: `crash_of(brokers, group_protocol="classic")`."""
    made: list[Crash] = []

    def make(brokers: str, **settings: object) -> Crash:
        made.append(Crash(brokers, tmp_path, **settings))
        return made[-1]

    yield make
    for crash in made:
        crash.clean_up()


@pytest.fixture
def stateful_of(tmp_path: Path) -> Iterator[StatefulFactory]:
    """Makes flows with state on a broker: `stateful_of(brokers, store="memory")`."""
    made: list[Stateful] = []

    def make(brokers: str, **settings: object) -> Stateful:
        made.append(Stateful(brokers, tmp_path, **settings))
        return made[-1]

    yield make
    for stateful in made:
        stateful.clean_up()


@pytest.fixture
def pipe_of(tmp_path: Path) -> Iterator[PipeFactory]:
    """Makes flows with one keyed stage on a broker: `pipe_of(brokers, "{aggregate: {count: count()}}")`."""
    made: list[Pipe] = []

    def make(brokers: str, config: str, **settings: object) -> Pipe:
        made.append(Pipe(brokers, tmp_path, config, **settings))
        return made[-1]

    yield make
    for pipe in made:
        pipe.clean_up()
