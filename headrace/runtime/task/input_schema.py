"""Checks trigger records against a flow's `input`, a JSON Schema."""

from collections.abc import Callable
from typing import Any

from headrace.runtime.errors import RecordError, SettingsError


def compile_schema(schema: Any) -> Callable[[Any], None]:
    """A function that raises a RecordError for a record that does not meet the schema.

    The schema becomes Python code once (fastjsonschema); references to other documents are not followed.

    Raises:
        SettingsError: it is no JSON Schema, or the extra `input` is not installed.
    """
    try:
        import fastjsonschema
    except ImportError as error:
        raise SettingsError(
            "a flow with `input` needs fastjsonschema: pip install 'headrace[input]'"
        ) from error
    try:
        check = fastjsonschema.compile(
            schema, handlers=dict.fromkeys(("http", "https", "ftp"), _no_reference)
        )
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise SettingsError(f"`input` is no JSON Schema: {error}") from error

    def check_input(event: Any) -> None:
        try:
            check(event)
        except fastjsonschema.JsonSchemaValueException as error:
            raise RecordError(
                f"does not meet the flow's input schema: {error.message.replace('data', 'event', 1)}"
            ) from None

    return check_input


def _no_reference(uri: str) -> Any:
    raise SettingsError(
        f"`input` refers to {uri}; put what it needs into the schema itself, under $defs"
    )
