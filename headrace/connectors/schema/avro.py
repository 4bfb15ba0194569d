"""`format: avro`."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import orjson
from pydantic import Field

from headrace.connectors.debezium_format.conversion import Times
from headrace.connectors.schema.avro_values import (
    Decimals,
    Misfit,
    conversion_of,
    mend_defaults,
    reading,
    without_logical_types,
    writing,
)
from headrace.connectors.schema.framed import FRAME, FramedFormat, FramedOptions, Reader, Writer
from headrace.connectors.schema.registry import EXTRA, Registry
from headrace.runtime.errors import RecordError, SettingsError, UndecodableError
from headrace.runtime.flow.suggestion import found


class AvroOptions(FramedOptions):
    """How logical types are read; both forms can be written."""

    decimals: Decimals = Field(
        "text", description="decimals as exact text, or as a number, which may round"
    )
    times: Times = Field(
        "keep", description="times as the schema counts them (keep), or as text in ISO 8601"
    )


class AvroFormat(FramedFormat):
    """Records of Avro; bytes are base64 text in events, as JSON has none."""

    Options = AvroOptions
    options: AvroOptions
    kind = "AVRO"

    def summary(self) -> str:
        return "Avro"

    def check_installed(self) -> None:
        try:
            import fastavro  # noqa: F401 # asked for, not used
        except ImportError as error:
            raise SettingsError(f"format: avro needs the extra: {EXTRA}") from error

    def record_name(self, schema: Any) -> str:
        parsed = _json(schema.schema_str)
        if not isinstance(parsed, Mapping) or "name" not in parsed:
            raise RecordError("the schema is no record, so it has no name to make a subject of")
        name, namespace = str(parsed["name"]), parsed.get("namespace")
        return f"{namespace}.{name}" if namespace and "." not in name else name

    def reader(self, registry: Registry, schema: Any, id_: int) -> Reader:
        from fastavro import schemaless_reader

        try:
            typed, plain, names = _parsed(registry, schema)
        except (ValueError, KeyError, TypeError, RecordError) as error:
            raise UndecodableError(f"its schema {id_} is no Avro that can be read") from error
        leaf = reading(self.options.decimals, self.options.times)
        convert = conversion_of(typed, leaf, named=names)

        def read(value: bytes) -> Any:
            stream = BytesIO(value)
            stream.seek(FRAME)
            try:
                event = schemaless_reader(stream, plain, None)
                return event if convert is None else convert(event)
            except Exception as error:
                raise UndecodableError(
                    f"it does not fit its schema {id_} ({type(error).__name__})"
                ) from None

        return read

    def writer(self, registry: Registry, schema: Any, id_: int, frame: bytes) -> Writer:
        from fastavro import schemaless_writer

        try:
            typed, plain, names = _parsed(registry, schema)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"schema {id_} is no Avro that can be read") from error
        convert = conversion_of(typed, writing, is_writing=True, named=names)

        def write(event: Any) -> bytes:
            stream = BytesIO()
            stream.write(frame)
            try:
                value = event if convert is None else convert(event)
                schemaless_writer(stream, plain, value, strict_allow_default=True)
            except Misfit as error:
                raise RecordError(f"the event does not fit schema {id_}: {error}") from None
            except Exception:
                raise RecordError(
                    f"the event does not fit schema {id_}: {_why(plain, value)}"
                ) from None
            return stream.getvalue()

        return write


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.strip()  # the name of a primitive type, as older writers register it


def _parsed(registry: Registry, schema: Any) -> tuple[Any, Any, dict[str, Any]]:
    """The schema with every name in full: with its logical types and without, and what the names stand for in the first."""
    from fastavro.schema import parse_schema

    typed_names: dict[str, Any] = {}
    plain_names: dict[str, Any] = {}

    def parse(one: Any) -> tuple[Any, Any]:
        for reference in one.references or ():
            parse(registry.referenced(reference.subject, reference.version))
        raw = _json(one.schema_str)
        typed = parse_schema(raw, typed_names, _force=True)
        return typed, parse_schema(without_logical_types(raw), plain_names, _force=True)

    typed, plain = parse(schema)
    for named in (plain, *plain_names.values()):
        mend_defaults(named)
    if isinstance(
        plain, list
    ):  # a union by reference, which Avro's library looks up in no table of names
        plain = [plain_names.get(one, one) if isinstance(one, str) else one for one in plain]
    return typed, plain, typed_names


def _why(schema: Any, event: Any) -> str:
    """Where an event does not fit, without what it holds there."""
    from fastavro.validation import ValidationError, validate

    if isinstance(schema, Mapping) and schema.get("type") == "record":
        if not isinstance(event, Mapping):
            return f"it is a record, found {found(event)}"
        fields = {field["name"] for field in schema["fields"]}
        if beyond := sorted(set(map(str, event)) - fields):
            known = ", ".join(sorted(fields)[:10])
            return f"there is no field '{beyond[0]}'; there are {known}"
    try:
        validate(event, schema, raise_errors=True)
    except ValidationError as error:
        first = error.errors[0]
        name = getattr(first, "field", "") or "the event"
        return f"{name} must be {_type(getattr(first, 'schema', ''))}, found {found(getattr(first, 'datum', None))}"
    except Exception:
        return "a value has another type than its field"
    return "a field that it lacks has no default, or it has one that the schema has not"


def _type(schema: Any) -> str:
    if isinstance(schema, list):
        return " or ".join(_type(one) for one in schema)
    if isinstance(schema, Mapping):
        return str(schema.get("name") or _type(schema.get("type")))
    return str(schema)
