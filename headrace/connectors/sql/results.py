"""Values of a database as JSON's types."""

import base64
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from headrace.connectors.sql.place import Decimals

PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Types of values that stay as they are."""


def plain(value: Any, decimal: Decimals) -> Any:
    """A value of a driver as JSON's types: times as ISO 8601, bytes in base64, what is unknown as its text."""
    if value.__class__ in PLAIN:
        return value
    if isinstance(value, Decimal):
        return str(value) if decimal == "string" or not value.is_finite() else _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(name): plain(one, decimal) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, decimal) for one in value]
    return str(value)


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
