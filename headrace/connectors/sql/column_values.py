"""Values of JSON's types as those of columns, where the database would not read them so itself."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import orjson

from headrace.connectors.sql.database import Column, Kind
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described

Epoch = Literal["ms", "us", "ns"]
_PER_SECOND: Final[Mapping[Epoch, int]] = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class JsonText(str):
    """Text that is one JSON value, and was looked at."""

    __slots__ = ()


class ColumnValues:
    """Converts the values of a table's columns.

    `epoch` is the unit of times that are given as numbers since 1970; dates are then days. With `json_is_text`, text for a
    JSON column is JSON already, as Debezium writes it; otherwise it is a JSON text.
    """

    def __init__(self, columns: Mapping[str, Column], epoch: Epoch, *, json_is_text: bool) -> None:
        self._per_second = _PER_SECOND[epoch]
        by_kind: dict[Kind, Callable[[Any], Any]] = {
            "bytes": _bytes,
            "json": _json_of_text if json_is_text else _json,
            "datetime": self._datetime,
            "date": _date,
            "time": self._time,
            "plain": _plain,
        }
        self._converters = {name: by_kind[column.kind] for name, column in columns.items()}

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row as the columns want it; it has none that the table does not have.

        Raises:
            RecordError: a value does not fit its column.
        """
        made = {}
        for name, value in row.items():
            try:
                made[name] = None if value is None else self._converters[name](value)
            except (ValueError, TypeError, OverflowError, binascii.Error):
                raise RecordError(
                    f"the value of column '{name}' cannot be read, found {described(value)}"
                ) from None
        return made

    def _datetime(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            moment = _BEGINNING + timedelta(microseconds=value * 1_000_000 // self._per_second)
            return moment.isoformat()
        return _plain(value)

    def _time(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return str((_BEGINNING + timedelta(seconds=value / self._per_second)).time())
        return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError
    return base64.b64decode(value, validate=True)


def _json(value: Any) -> JsonText:
    return JsonText(orjson.dumps(value).decode())


def _json_of_text(value: Any) -> JsonText:
    if not isinstance(value, str):
        return _json(value)
    orjson.loads(value)
    return JsonText(value)


def _date(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
    return _plain(value)
