"""Records as lines of text: what a file holds while it grows."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import orjson

from headrace.connectors.file.config import FileConfig
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described


class Lines:
    """Makes one line of each record; a file that becomes Parquet grows as JSON lines too."""

    def __init__(self, config: FileConfig) -> None:
        self._columns = config.columns
        self._is_csv = config.format == "csv"
        self._needs_maps = self._is_csv or config.format == "parquet" or bool(config.columns)

    @property
    def header(self) -> bytes:
        """What a file begins with."""
        return _csv_line(self._columns) if self._is_csv else b""

    def line(self, value: Any) -> bytes:
        """The line of a record, with its end.

        Raises:
            RecordError: it cannot be written so.
        """
        if self._needs_maps and not isinstance(value, dict):
            raise RecordError(f"rows are made of maps, found {described(value)}; see 'value'")
        try:
            if self._is_csv:
                return _csv_line([_cell(value.get(name)) for name in self._columns])
            if self._columns:
                value = {name: value.get(name) for name in self._columns}
            return orjson.dumps(value) + b"\n"
        except TypeError as error:
            raise RecordError(f"the value cannot be written as JSON: {error}") from None


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return orjson.dumps(value).decode()
    return value


def _csv_line(cells: Sequence[Any]) -> bytes:
    """One line of RFC 4180; a line break inside of a cell is written as a blank, so that a line is a record."""
    text = io.StringIO()
    plain = [" ".join(c.splitlines()) if isinstance(c, str) else c for c in cells]
    csv.writer(text, lineterminator="\n").writerow(plain)
    return text.getvalue().encode()
