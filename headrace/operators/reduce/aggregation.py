"""One aggregation of a document: `sum(event.amount)`, read and checked."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from headrace.operators.reduce.aggregates import AGGREGATES, Aggregate, Argument, Call
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.expression import Expression, ExpressionError
from headrace.runtime.flow import did_you_mean

CALL: Final = re.compile(r"\s*([^\W\d]\w*)\s*\((.*)\)\s*", re.DOTALL)
TEXT: Final = re.compile(r"""(["'])([^"'\\]*)\1""")
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
WHOLE: Final = re.compile(r"[0-9](_?[0-9])*")
BRACKETS: Final = {"(": ")", "[": "]", "{": "}"}


class Aggregation(ActionConfig):
    """One call of an aggregate; written as text."""

    text: str
    name: str
    expressions: tuple[Expression, ...]
    limit: int | None = None
    keep: str | None = None
    share: float | None = None
    path: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, Aggregation | dict):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("aggregation", "must be text such as sum(event.amount)")
        try:
            return read_call(value)
        except ValueError as error:
            raise PydanticCustomError("aggregation", "{reason}", {"reason": str(error)}) from error

    @model_serializer
    def _written(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        names = "|".join(AGGREGATES)
        return {"type": "string", "pattern": rf"^\s*({names})\s*\(", "description": usages()}

    def aggregate(self) -> Aggregate:
        """What carries this aggregation out."""
        call = Call(**{name: getattr(self, name) for name in type(self).model_fields})
        return AGGREGATES[self.name](call)


def usages() -> str:
    """All aggregates as they are written."""
    return "; ".join(kind.usage for kind in AGGREGATES.values())


def read_call(text: str) -> dict[str, Any]:
    """The parts of an aggregation.

    Raises:
        ValueError: says what is wrong and how the aggregate is written.
    """
    match = CALL.fullmatch(text)
    if match is None:
        meant = did_you_mean(text.strip(), AGGREGATES)
        raise ValueError(meant.lstrip("; ") + f"; {_shape()}" if meant else _shape())
    name, inside = match.groups()
    if name not in AGGREGATES:
        hint = did_you_mean(name, AGGREGATES) or f"; there are {', '.join(AGGREGATES)}"
        raise ValueError(f"there is no aggregate '{name}'{hint}")
    kind = AGGREGATES[name]
    given = list(split_arguments(inside))
    if not kind.needed <= len(given) <= len(kind.arguments):
        raise ValueError(f"{name} takes {_count(kind)}, found {len(given)}: write {kind.usage}")
    made: dict[str, Any] = {"text": text.strip(), "name": name, "expressions": []}
    for argument, written in zip(kind.arguments, given, strict=False):
        if argument == "expression":
            made["expressions"].append(_expression(name, written))
        else:
            made[argument] = _constant(kind, argument, written)
    if name == "reducer" and not made["expressions"]:
        made["expressions"].append(Expression.parse("event"))
    return made


def split_arguments(inside: str) -> Iterator[str]:
    """The arguments between the brackets of a call; brackets and quotes inside of them hold their commas together.

    Raises:
        ValueError: an argument is empty.
    """
    if not inside.strip():
        return
    open_brackets: list[str] = []
    quote, start, at = "", 0, 0
    while at < len(inside):
        character = inside[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in BRACKETS:
            open_brackets.append(character)
        elif character in BRACKETS.values() and open_brackets:
            open_brackets.pop()
        elif character == "," and not open_brackets:
            yield _not_empty(inside[start:at])
            start = at + 1
        at += 1
    yield _not_empty(inside[start:])


def _not_empty(argument: str) -> str:
    if not argument.strip():
        raise ValueError("an argument is empty; there is a comma too many")
    return argument.strip()


def _expression(name: str, written: str) -> Expression:
    try:
        return Expression.parse(written)
    except ExpressionError as error:
        raise ValueError(f"in {name}(...): {error}") from error


def _constant(kind: type[Aggregate], argument: Argument, written: str) -> Any:
    """The value of an argument that is the same for all records, which has to be written out."""
    if argument == "limit":
        if WHOLE.fullmatch(written) and 1 <= int(written) <= kind.limit_max:
            return int(written)
        wanted = f"a whole number from 1 to {kind.limit_max:,}"
    elif argument == "share":
        if NUMBER.fullmatch(written) and 0 <= float(written) <= 1:
            return float(written)
        wanted = "a number from 0 to 1"
    else:
        text = TEXT.fullmatch(written)
        if text and (argument == "path" or text.group(2) in ("first", "last")):
            return text.group(2)
        wanted = '"package.module:Name" in quotes' if argument == "path" else '"first" or "last"'
    place = kind.arguments.index(argument) + 1
    raise ValueError(
        f"argument {place} must be {wanted}, written out, found {written[:40]}: write {kind.usage}"
    )


def _count(kind: type[Aggregate]) -> str:
    most = len(kind.arguments)
    count = f"{most}" if kind.needed == most else f"{kind.needed} to {most}"
    return f"{count} argument{'' if most == 1 else 's'}"


def _shape() -> str:
    return (
        f"an aggregation is one call, such as sum(event.amount); there are {', '.join(AGGREGATES)}"
    )
