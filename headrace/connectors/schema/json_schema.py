"""`format: json_schema`."""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import Field

from headrace.connectors.schema.framed import FRAME, FramedFormat, FramedOptions, Reader, Writer
from headrace.connectors.schema.registry import EXTRA, Registry
from headrace.runtime.errors import RecordError, SettingsError, UndecodableError

Check = Callable[[Any], str | None]
"""Says where a value does not meet the schema, or None."""


class JsonSchemaOptions(FramedOptions):
    """Whether values are checked."""

    validate_: bool = Field(
        True,
        alias="validate",
        description="check values against their schema; without, they are only decoded",
    )


class JsonSchemaFormat(FramedFormat):
    """JSON behind the id of its schema."""

    Options = JsonSchemaOptions
    options: JsonSchemaOptions
    kind = "JSON"

    def summary(self) -> str:
        return "JSON of a JSON Schema"

    def check_installed(self) -> None:
        try:
            import jsonschema  # noqa: F401 # asked for, not used
        except ImportError as error:
            raise SettingsError(f"format: json_schema needs the extra: {EXTRA}") from error

    def record_name(self, schema: Any) -> str:
        parsed = orjson.loads(schema.schema_str)
        title = parsed.get("title") if isinstance(parsed, dict) else None
        if not title:
            raise RecordError("the schema has no title, which is the name to make a subject of")
        return str(title)

    def reader(self, registry: Registry, schema: Any, id_: int) -> Reader:
        check = self._check(registry, schema, id_)

        def read(value: bytes) -> Any:
            try:
                event = orjson.loads(memoryview(value)[FRAME:])
            except orjson.JSONDecodeError as error:
                raise UndecodableError(
                    f"it is no JSON: {error.msg} at character {error.pos}"
                ) from None
            if check is not None and (why := check(event)) is not None:
                raise UndecodableError(f"it does not meet its schema {id_}: {why}")
            return event

        return read

    def writer(self, registry: Registry, schema: Any, id_: int, frame: bytes) -> Writer:
        check = self._check(registry, schema, id_)

        def write(event: Any) -> bytes:
            try:
                value = orjson.dumps(event)
            except TypeError as error:
                raise RecordError(f"the event cannot be written as JSON: {error}") from None
            if check is not None and (why := check(event)) is not None:
                raise RecordError(f"the event does not meet schema {id_}: {why}")
            return frame + value

        return write

    def _check(self, registry: Registry, schema: Any, id_: int) -> Check | None:
        if not self.options.validate_:
            return None
        from jsonschema.exceptions import SchemaError, best_match
        from jsonschema.validators import Draft7Validator, validator_for
        from referencing import Registry as Resources
        from referencing import Resource
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import DRAFT7

        resources: Any = Resources()
        try:
            parsed = orjson.loads(schema.schema_str)
            for name, text in _referenced(registry, schema).items():
                resource = Resource.from_contents(orjson.loads(text), default_specification=DRAFT7)
                resources = resources.with_resource(name, resource)
            kind = validator_for(parsed, default=Draft7Validator)
            kind.check_schema(parsed)
        except (orjson.JSONDecodeError, SchemaError) as error:
            raise UndecodableError(f"its schema {id_} is no JSON Schema") from error
        validator = kind(parsed, registry=resources)

        def check(event: Any) -> str | None:
            if validator.is_valid(event):
                return None
            try:
                error = best_match(validator.iter_errors(event))
            except Unresolvable:
                return "the schema refers to another one that is not among its references"
            path = ".".join(map(str, error.absolute_path)) or "the event"
            return f"{path} fails '{error.validator}' of the schema"

        return check


def _referenced(registry: Registry, schema: Any) -> dict[str, str]:
    """The text of every schema that this one refers to, by the name that it uses."""
    found: dict[str, str] = {}
    for reference in schema.references or ():
        other = registry.referenced(reference.subject, reference.version)
        found[reference.name] = other.schema_str
        found |= _referenced(registry, other)
    return found
