"""Expressions and templates as fields of pydantic models."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from headrace.runtime.expression.errors import ExpressionError

_Parse = Callable[[Any, frozenset[str]], Any]


@dataclass(frozen=True, init=False)
class ExtraNames:
    """Adds names to a field: `Annotated[Expression, ExtraNames("item", "index")]`.

    Works on `Expression` and `Template` themselves; in a longer type it goes inside:
    `list[Annotated[Template, ExtraNames("item")]]`.
    """

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset(names))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from headrace.runtime.expression.expression import NAMES, Expression
        from headrace.runtime.expression.template import Template

        if source is Expression:
            return expression_schema(Expression.parse, Expression, NAMES | self.names)
        if source is Template:
            return template_schema(Template.parse, Template, NAMES | self.names)
        raise TypeError(
            f"ExtraNames belongs to Expression or Template, not to {source!r}: {get_args(source)}"
        )


def expression_schema(parse: _Parse, type_: type, names: frozenset[str]) -> CoreSchema:
    """Accepts an expression, its text, or a boolean, number or null that stands for itself."""

    def validate(value: Any) -> Any:
        if isinstance(value, type_):
            return value
        if isinstance(value, bool) or value is None:
            value = {True: "true", False: "false", None: "null"}[value]
        elif isinstance(value, int | float):
            value = repr(value)
        elif not isinstance(value, str):
            raise PydanticCustomError(
                "expression_type", "an expression is text, a number, true, false or null"
            )
        return _parsed(parse, value, names)

    return core_schema.no_info_plain_validator_function(
        validate,
        json_schema_input_schema=core_schema.union_schema(
            [
                core_schema.str_schema(),
                core_schema.float_schema(),
                core_schema.bool_schema(),
                core_schema.none_schema(),
            ]
        ),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda expression: expression.text, return_schema=core_schema.str_schema()
        ),
    )


def template_schema(parse: _Parse, type_: type, names: frozenset[str]) -> CoreSchema:
    """Accepts a template, or any value that JSON has, with `${...}` anywhere in its texts."""

    def validate(value: Any) -> Any:
        return value if isinstance(value, type_) else _parsed(parse, value, names)

    return core_schema.no_info_plain_validator_function(
        validate,
        json_schema_input_schema=core_schema.any_schema(),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda template: template.value, return_schema=core_schema.any_schema()
        ),
    )


def _parsed(parse: _Parse, value: Any, names: frozenset[str]) -> Any:
    try:
        return parse(value, names)
    except ExpressionError as error:
        raise PydanticCustomError(
            "expression", "{reason}", {"reason": str(error), "offset": error.offset}
        ) from error
