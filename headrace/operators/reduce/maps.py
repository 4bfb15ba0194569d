"""One map of a list of maps: the other meaning of `reduce`, for what `zip` sends."""

from collections.abc import Iterable
from typing import Any

from headrace.operators.reduce.config import ReduceConfig
from headrace.runtime.contracts.action import Code, InlineAction
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import kind_of, with_article

ALLOWED = frozenset({"concat_field", "merge"})


class JoinMaps(InlineAction):
    """Puts a list of maps under one field, or merges them; later ones win."""

    Config = ReduceConfig
    config: ReduceConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.concat_field is not None and config.merge:
            yield "has both 'concat_field' and 'merge'; keep one"
        others = sorted(config.model_fields_set - ALLOWED)
        if others:
            which = "concat_field" if config.concat_field is not None else "merge"
            yield f"'{which}' makes one map of a list of maps and goes with nothing else; remove {', '.join(others)}"
        if config.concat_field == "":
            yield "concat_field: needs the name of a field"

    def summary(self) -> str:
        field = self.config.concat_field
        return f"list under {field}" if field is not None else "merge a list of maps"

    def emit(self, code: Code) -> None:
        made = code.variable("event")
        check = code.constant(maps_of, "maps_of")
        if self.config.concat_field is not None:
            code.line(f"{made} = {{{self.config.concat_field!r}: {check}({code.event})}}")
        else:
            part = code.variable("part")
            code.line(f"{made} = {{}}")
            with code.block(f"for {part} in {check}({code.event}):"):
                code.line(f"{made}.update({part})")
        code.forward(made, is_owned=True, is_object=True)


def maps_of(event: Any) -> list[dict[str, Any]]:
    """The event, which must be a list of maps.

    Raises:
        RecordError: it is something else.
    """
    if not isinstance(event, list):
        raise RecordError(
            f"reduce takes a list of maps, found {with_article(kind_of(event))}; zip sends such lists"
        )
    for number, part in enumerate(event):
        if not isinstance(part, dict):
            raise RecordError(
                f"reduce takes a list of maps, found {with_article(kind_of(part))} at position {number}"
            )
    return event
