"""What a record of Debezium is: a change, or one of the records that tell about the connector itself.

The shapes are those of Debezium 3's documentation: "Data change events", "New Record State Extraction", "Transaction metadata",
"Schema change topic", "Sending signals", "Receiving notifications".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from headrace.runtime.contracts.format import SKIPPED
from headrace.runtime.errors import UndecodableError

Kind = Literal["heartbeats", "transactions", "schema_changes", "signals", "notifications"]
OPERATIONS: Final = frozenset("crudtm")
"""Create, read (a snapshot), update, delete, truncate, message."""
SIGNALS: Final = frozenset(
    {
        "execute-snapshot",
        "stop-snapshot",
        "pause-snapshot",
        "resume-snapshot",
        "snapshot-window-open",
        "snapshot-window-close",
        "schema-changes",
        "set-binlog-position",
        "log",
    }
)
ADDED: Final = "__"
"""What begins the names of the fields that the flattening transformation adds."""
OF_THE_CHANGE: Final = ("op", "ts_ms", "ts_us", "ts_ns")

Reader = Callable[[Any], Any]


def event_reader(also: frozenset[Kind]) -> Reader:
    """A function from a decoded value without its schema to the envelope of a trigger's event; `also` are passed as they are."""

    def read(value: Any) -> Any:
        if value.__class__ is dict:
            if (
                (operation := value.get("op")).__class__ is str
                and operation in OPERATIONS
                and ("after" in value or "before" in value or "source" in value)
            ):
                if operation != "c" or not _is_signal(value.get("after")):
                    return value
                return value if "signals" in also else SKIPPED
            return _other(value, also)
        if value is None:
            return SKIPPED
        raise _refused(value)

    return read


def row_reader() -> Reader:
    """A function from a decoded value without its schema to the row that its key has from now on; None where it has none."""

    def read(value: Any) -> Any:
        if value.__class__ is dict:
            operation = value.get("op")
            if operation.__class__ is str and ("after" in value or "before" in value):
                if operation in ("c", "r", "u"):
                    row = value.get("after")
                    return SKIPPED if operation == "c" and _is_signal(row) else _checked_row(row)
                if operation == "d":
                    return None
            if operation == "t" and "source" in value:
                raise UndecodableError(
                    "the source table was truncated, which names no rows, so they are all still in this table; empty it by DELETE"
                    " in place of TRUNCATE, or leave truncates out at the connector (skipped.operations: t, its default)"
                )
            if operation == "m" and "source" in value:
                return SKIPPED
            found = _other(value, frozenset())
            if found is SKIPPED:
                return found
            return found["after"]
        if value is None:
            return None
        raise _refused(value)

    return read


def _checked_row(row: Any) -> Any:
    if row.__class__ is dict:
        return row
    raise UndecodableError("a change that is no delete has no `after` with the row")


def _other(value: dict[str, Any], also: frozenset[Kind]) -> Any:
    kind = kind_of(value)
    if kind is None:
        if "op" in value and "source" in value and ("after" in value or "before" in value):
            raise UndecodableError(
                "the operation of a change event is c, r, u, d, t or m, found another; read it with `format: json`"
            )
        return envelope_of(value)
    return value if kind in also else SKIPPED


def kind_of(value: Mapping[str, Any]) -> Kind | None:
    """What a value that is no envelope tells about, or None for a row."""
    if value.keys() == {"ts_ms"}:
        return "heartbeats"
    if value.get("status") in ("BEGIN", "END") and "id" in value and "event_count" in value:
        return "transactions"
    if "databaseName" in value and ("ddl" in value or "tableChanges" in value):
        return "schema_changes"
    if "aggregate_type" in value and "additional_data" in value:
        return "notifications"
    if "data" in value and len(value) <= 3 and _is_signal_type(value.get("type")):
        return "signals"
    return None


def _is_signal(row: Any) -> bool:
    """Whether a row was inserted into a signalling table: it has an id, a type and data, whatever their case."""
    return (
        row.__class__ is dict
        and len(row) == 3
        and ("data" in row or "DATA" in row)
        and _is_signal_type(row.get("type") or row.get("TYPE"))
    )


def _is_signal_type(name: Any) -> bool:
    return name.__class__ is str and name in SIGNALS


def envelope_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of a flattened record.

    The fields that the transformation adds go back where they came from. Without an added `op` a change is an update, or a delete
    where the record is marked as one.
    """
    row: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, field in value.items():
        if name.startswith(ADDED):
            told[name[len(ADDED) :]] = field
        else:
            row[name] = field
    is_deleted = told.pop("deleted", False) in (True, "true")
    operation = told.pop("op", None) or ("d" if is_deleted else "u")
    change = {name: told.pop(name, None) for name in OF_THE_CHANGE[1:]}
    transaction = {
        name.removeprefix("transaction_"): told.pop(name)
        for name in list(told)
        if name.startswith("transaction_")
    }
    source = {name.removeprefix("source_"): field for name, field in told.items()}
    is_delete = operation == "d"
    return {
        "op": operation,
        "before": row if is_delete else None,
        "after": None if is_delete else row,
        "source": source,
        "ts_ms": change["ts_ms"],
        "transaction": transaction or None,
    }


def _refused(value: Any) -> UndecodableError:
    kinds = {str: "text", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
    return UndecodableError(
        f"a change event is a map, found {kinds.get(type(value), type(value).__name__)};"
        " is this a topic that Debezium writes?"
    )
