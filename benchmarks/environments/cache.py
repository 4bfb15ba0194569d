"""The user's cache folder of the benchmarks, and how something is made in it once."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path


def folder() -> Path:
    """`$XDG_CACHE_HOME/headrace/benchmarks`, or the same under `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "headrace" / "benchmarks"


def made_once(name: str, sources: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder `name`, made by `make` unless it was made from the same sources before.

    A folder that was left half made, or was made from other sources, is thrown away. Other processes wait.
    """
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    mark = path / "made-from"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.is_file() or mark.read_text("ascii") != digest:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            make(path)
            mark.write_text(digest, "ascii")
    return path
