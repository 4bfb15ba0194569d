"""What stages keep, as a table: a row per key, per window, or per entry."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]


def table_of(items: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]], str]:
    """Headings, rows and alignment, for `print_table`."""
    rows = [row for item in items for row in _rows(item)]
    headings = list(dict.fromkeys(name for row in rows for name in row)) or ["key"]
    cells = [[_cell(name, row.get(name, "")) for name in headings] for row in rows]
    return headings, cells, "".join(">" if _is_number(name, rows) else " " for name in headings)


def _rows(item: dict[str, Any]) -> Iterator[Row]:
    key = {"key": item["key"]}
    entries = item["entries"]
    if isinstance(entries, list):
        for window in entries:
            yield key | window
    elif entries.keys() == {"value"} and isinstance(entries["value"], dict):
        yield key | entries["value"]
    else:
        for name, value in entries.items():
            yield {**key, "entry": name, "value": value}


def _cell(name: str, value: Any) -> str:
    if name in ("start", "end") and isinstance(value, int):
        return _time(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time(ms: int) -> str:
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(ms)
    precision = "milliseconds" if ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _is_number(name: str, rows: Iterable[Row]) -> bool:
    values = [row[name] for row in rows if name in row]
    return name not in ("start", "end") and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
