"""Flows to be crashed, whose workers end with the test, however it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.harness import Crash

CrashFactory = Callable[..., Crash]


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
