from collections.abc import Iterator

import pytest

from tests.registry_server import RegistryServer, registry_running
from tests.unit.formats.registered import OPENED


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_running() as running:
        yield running


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
