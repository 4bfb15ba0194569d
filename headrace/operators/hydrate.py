"""`hydrate`: adds to each record what is known elsewhere about it.

Where it is looked up is the *source*: exactly one of the fields in `SOURCES` is set, and names the action that looks there.
A topic is read as a table here; other systems are lookups (`contracts.lookup`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import Field, create_model

from headrace.operators.hydrate_config import HydrateConfig
from headrace.operators.hydrate_lookup import HydrateLookup, lookup_problems
from headrace.operators.join.config import ROW_NAMES, is_topic_name, milliseconds, names_beyond
from headrace.operators.join.rows import FORGOTTEN
from headrace.operators.join.stream_table import rows_of
from headrace.runtime.contracts.action import (
    TABLE,
    Action,
    KeyedAction,
    KeyedContext,
    TableSource,
    TimerKind,
)
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.errors import described
from headrace.runtime.lookups import installed_lookups

MISSING: Final = ("pass", "drop", "fail")


def _with_lookups() -> type[HydrateConfig]:
    """The config with a field for each lookup that is installed."""
    fields: dict[str, Any] = {
        name: (kind.Config | None, Field(None, description=f"source: {kind.description}"))
        for name, kind in installed_lookups().items()
    }
    return create_model("HydrateConfig", __base__=HydrateConfig, **fields)


class Hydrate(Action):
    """Looks up data elsewhere by a key, and adds it to each event."""

    Config = _with_lookups()
    config: HydrateConfig

    def specialised(self) -> Action:
        """The action of the source; itself, with its problems, when there are any."""
        if any(True for _ in self.problems()):
            return self
        source = next(name for name in SOURCES if getattr(self.config, name, None) is not None)
        return SOURCES[source](self.config)

    def problems(self) -> Iterable[str]:
        config = self.config
        named = [name for name in SOURCES if getattr(config, name, None) is not None]
        if len(named) != 1:
            known = ", ".join(f"'{name}'" for name in SOURCES)
            found = f", found {' and '.join(named)}" if named else ""
            yield f"needs one source to look in, of {known}{found}"
        if config.merge and config.into is not None:
            yield "into: goes with 'merge' no more than a field goes with all fields; keep one"
        if config.into == "":
            yield "into: must name a field"
        if config.table is not None:
            yield from self._table()
        for name, kind in installed_lookups().items():
            if getattr(config, name, None) is not None:
                yield from lookup_problems(config, name, kind, MISSING)

    def _table(self) -> Iterator[str]:
        config = self.config
        if config.cache is not None:
            yield "cache: a table is at hand anyway; leave it out"
        if not is_topic_name(config.table or ""):
            yield "table: a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
        if config.as_of and config.history is None:
            yield "history: as_of needs how long replaced rows are kept, such as `history: 7d`"
        if config.history is not None and not config.as_of:
            yield "history: keeps replaced rows for `as_of: true`, which is not set"
        if config.as_of and config.is_global:
            yield "as_of: a global table has only its current rows; leave `global` out"
        if config.format in ("text", "bytes") and (config.merge or config.select):
            field = "merge" if config.merge else "select"
            yield f"{field}: needs rows with fields, which there are none with format: {config.format}"
        if config.is_global:
            why = "but the key of a global table is looked up inside the stage"
            yield from names_beyond("key", config.key, ROW_NAMES, why)

    def outputs(self) -> tuple[str, ...]:
        return () if self.config.missing in MISSING else (self.config.missing,)


class HydrateTable(KeyedAction):
    """Adds the row of a table: a stream-table join whose result is the event with more in it.

    A change of the table emits nothing, and every event that is forwarded belongs to the record's own run.
    """

    Config = HydrateConfig
    config: HydrateConfig
    inputs = (1, None)
    is_per_record = True

    def __init__(self, config: HydrateConfig) -> None:
        super().__init__(config)
        assert config.table is not None
        self._topic = config.table
        self._into = config.into or config.table.rpartition(".")[2].replace("-", "_")
        self._rows = rows_of(
            is_global=config.is_global,
            key=config.key,
            field="key",
            history_ms=milliseconds(config.history) if config.as_of else None,
        )

    def outputs(self) -> tuple[str, ...]:
        return () if self.config.missing in MISSING else (self.config.missing,)

    def summary(self) -> str:
        config = self.config
        key = f" by {config.key.text}" if config.key else ""
        what = ", ".join(config.select) or "row"
        where = "the event" if config.merge else self._into
        scope = "global table" if config.is_global else "table"
        return f"{what} of {scope} {self._topic}{key} into {where}"

    def shape(self) -> Mapping[str, Any]:
        if self.config.is_global:
            return {"action": "hydrate", "rows": "global"}  # they are not in the stage's state
        key = self.config.key.text if self.config.key else None
        rows = "versions" if self.config.as_of else "current"
        return {"action": "hydrate", "table": self._topic, "key": key, "rows": rows}

    def table(self) -> TableSource:
        config = self.config
        return TableSource(
            topic=self._topic, value_format=config.format, is_global=config.is_global
        )

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return None if self.config.is_global else self.config.key

    def check_inputs(self, inputs: Sequence[str]) -> Iterable[str]:
        if self.config.missing in inputs:
            yield f"missing: stage '{self.config.missing}' sends to this one, so records would go round"

    def on_record(self, context: KeyedContext, event: Any) -> None:
        if context.input == TABLE:
            self._rows.update(context, event)
            return
        if not isinstance(event, dict):
            raise RecordError(f"hydrate adds to events that are maps, found {described(event)}")
        row = self._rows.find(context, event, context.timestamp_ms, context.watermark_ms)
        if row is None or row is FORGOTTEN:
            self._missing(context, event)
        elif self.config.merge:
            context.forward({**event, **self._selected(row)})
        else:
            found = self._selected(row) if self.config.select else row
            context.forward({**event, self._into: found})

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        self._rows.trim(context, at_ms)

    def _selected(self, row: Any) -> dict[str, Any]:
        """The fields of a row that are wanted.

        Raises:
            RecordError: the row is no map, or a field that is wanted is not in it.
        """
        if not isinstance(row, dict):
            raise RecordError(
                f"the row of table '{self._topic}' is no map, found {described(row)};"
                " without 'select' and 'merge' it is added whole"
            )
        if not self.config.select:
            return row
        lacking = [name for name in self.config.select if name not in row]
        if lacking:
            names = ", ".join(list(row)[:10])
            raise RecordError(
                f"the row of table '{self._topic}' has no field '{lacking[0]}'; it has {names}"
            )
        return {name: row[name] for name in self.config.select}

    def _missing(self, context: KeyedContext, event: dict[str, Any]) -> None:
        what = self.config.missing
        if what == "fail":
            raise RecordError(f"table '{self._topic}' has no row for the key of this record")
        if what == "pass":
            context.forward(event if self.config.merge else {**event, self._into: None})
        elif what != "drop":
            context.forward(event, to=what)


SOURCES: Final[Mapping[str, Callable[[HydrateConfig], Action]]] = {
    "table": HydrateTable,
    **{name: partial(HydrateLookup, name, kind) for name, kind in installed_lookups().items()},
}
"""The fields of the config that name a source, each with the action that looks there."""
