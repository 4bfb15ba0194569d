"""The parameters of a statement, of a record."""

from collections.abc import Mapping
from typing import Any

from headrace.connectors.sql.statement import Statement
from headrace.runtime.expression import Expression

PREFIX = "parameter_"


def arguments_of(statement: Statement, given: Mapping[str, Expression]) -> dict[str, Expression]:
    """What must be computed of a record: what is given, and the fields of the event for the others."""
    return {
        PREFIX + name: given.get(name) or Expression.parse(f"event.{name}")
        for name in dict.fromkeys(statement.names)
    }


def parameters_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of the statement."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in arguments.items()
        if name.startswith(PREFIX)
    }
