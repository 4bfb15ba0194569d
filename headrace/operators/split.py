"""`split`: makes an event of each item of a list, and notes on it which part of the whole it is."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.errors import described

PART: Final = "part"
FIELD_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Names that an expression can write behind a dot."""

RUN_ID: Final = Expression.parse("run.id")
_ONE_FIELD: Final = re.compile(r"event\.([A-Za-z_][A-Za-z0-9_]*)")


class SplitConfig(ActionConfig):
    """The list, and what the events made of it look like."""

    items: Expression = Field(description="the list, such as `event.lines`")
    into: str | None = Field(
        None,
        min_length=1,
        description="the field that gets the item; with `items: event.lines` it is `lines` when left out. The list goes",
    )
    keep: bool = Field(
        True,
        description="keep the other fields of the event; with false the new event is the item itself",
    )
    part: str | None = Field(
        PART,
        pattern=FIELD_NAME,
        description="the field that gets `{id, index, total}`, for `collect`; null for none",
    )
    id: Expression | None = Field(
        None,
        description="what all parts of one event share; when left out the run's id, and inside of another split its part",
    )
    empty: str | None = Field(
        None,
        min_length=1,
        description="a stage that gets the unchanged event when the list is empty; nothing goes on when left out",
    )


class Split(InlineAction):
    """Sends on one event per item of a list. `collect` is the opposite.

    Each event tells in a field which part of the whole it is: `{id, index, total}`, with the index from 0. A stage between
    `split` and `collect` that makes new events must keep this field.
    """

    Config = SplitConfig
    config: SplitConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.keep and config.into is None and self._list_field() is None:
            yield "needs 'into': the field that gets the item (or 'keep: false', where the item is the event)"
        if not config.keep and config.into is not None:
            yield "has both 'into' and 'keep: false'; without the other fields the item itself is the event"
        if config.id is not None and config.part is None:
            yield "has 'id' but 'part: null', so that the id is written nowhere"

    def outputs(self) -> tuple[str, ...]:
        return () if self.config.empty is None else (self.config.empty,)

    def summary(self) -> str:
        into = self.config.into
        empty = f"; empty -> {self.config.empty}" if self.config.empty else ""
        return f"{self.config.items.text}{f' into {into}' if into else ''}{empty}"

    def emit(self, code: Code) -> None:
        config = self.config
        items = code.variable("items")
        check = code.constant(list_of, "list_of")
        code.line(f"{items} = {check}({code.expression(config.items)})")
        shared = "None"
        if config.part is not None:
            shared = code.expression(RUN_ID if config.id is None else config.id)
        parts, part = code.variable("parts"), code.variable("part", "event")
        make = code.constant(self._parts, "parts_of")
        code.line(f"{parts} = {make}({code.event}, {items}, {shared})")
        if config.empty is not None:
            with code.block(f"if not {items}:"):
                code.visited("empty")
                code.forward_to(config.empty)
        with code.forward_each(parts, part):
            code.forward(part, is_owned=config.keep or config.part is not None)

    def _parts(self, event: Any, items: list[Any], shared: Any) -> list[Any]:
        """The new events. Those that get a field are new objects; what is in them still belongs to `event`."""
        if not self.config.keep:
            return [
                self._marked(item, event, shared, i, len(items)) for i, item in enumerate(items)
            ]
        if not isinstance(event, dict):
            raise RecordError("the event is no map, so it has no other fields; set 'keep: false'")
        list_field = self._list_field()
        rest = {name: value for name, value in event.items() if name != list_field}
        into = self.config.into or list_field
        return [
            self._marked({**rest, into: item}, event, shared, i, len(items))
            for i, item in enumerate(items)
        ]

    def _marked(self, made: Any, event: Any, shared: Any, index: int, total: int) -> Any:
        field = self.config.part
        if field is None:
            return made
        if not isinstance(made, dict):
            raise RecordError(
                f"an item is no map, so it cannot hold the field '{field}'; set 'keep: true' and 'into', or 'part: null'"
            )
        part = {"id": shared, "index": index, "total": total}
        outer = event.get(field) if isinstance(event, dict) else None
        if outer is not None and is_part(outer):
            if self.config.id is None:
                part["id"] = f"{outer['id']}/{outer['index']}"
            part["within"] = outer
        return {**made, field: part}

    def _list_field(self) -> str | None:
        """The field of the event that the list is, when `items` says just that."""
        found = _ONE_FIELD.fullmatch(self.config.items.text)
        return found[1] if found else None


def is_part(value: Any) -> bool:
    """Whether this is what `split` notes on the events that it makes."""
    return isinstance(value, dict) and {"id", "index", "total"} <= value.keys()


def list_of(value: Any) -> list[Any]:
    """The list that is split."""
    if isinstance(value, list | tuple):
        return list(value)
    raise RecordError(
        f"items: needs a list, found {described(value)}; wrap a single value as [value]"
    )
