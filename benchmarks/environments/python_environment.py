"""A virtual environment with exactly the packages of a requirements file."""

import subprocess
import sys
from pathlib import Path

from benchmarks.environments.cache import made_once

HERE = Path(__file__).parent


def python_of(name: str) -> str:
    """The interpreter of the environment `name`, whose packages `name`.txt pins.

    Raises:
        CalledProcessError: it could not be made; pip has said why.
    """
    requirements = HERE / f"{name}.txt"

    def make(path: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
        install = [str(path / "bin" / "pip"), "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "-r", str(requirements)], check=True, stdout=sys.stderr)

    return str(made_once(name, [requirements], make) / "bin" / "python")
