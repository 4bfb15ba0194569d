"""The format and its options."""

from collections.abc import Callable
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from headrace.connectors.debezium_format.change import Kind, event_reader, row_reader
from headrace.connectors.debezium_format.conversion import Decimals, Times, conversion_of
from headrace.connectors.debezium_format.schema_wrapper import undecodable, unwrapping
from headrace.runtime.contracts.format import (
    Decoder,
    FormatOpening,
    FormatOptions,
    ValueFormat,
    format_with,
    load_format,
)
from headrace.runtime.errors import UndecodableError


class DebeziumOptions(FormatOptions):
    """How change events are read."""

    decimals: Decimals = Field(
        "keep",
        description="decimals as Debezium encodes them (keep), as exact text, or as a number, which may round",
    )
    times: Times = Field(
        "keep", description="times as Debezium encodes them (keep), or as text in ISO 8601"
    )
    encoding: Literal["json", "avro", "protobuf", "json_schema"] = Field(
        "json",
        description="how the connector's converter writes: json, or avro, protobuf or json_schema by a schema registry",
    )
    also: tuple[Kind, ...] = Field(
        (), description="records about the connector that start runs too, as they are"
    )

    @model_validator(mode="after")
    def _check(self) -> "DebeziumOptions":
        if self.encoding in ("protobuf", "json_schema") and (
            self.decimals != "keep" or self.times != "keep"
        ):
            raise ValueError(
                f"'decimals' and 'times' are told by schemas of JSON and Avro only, not of {self.encoding}"
            )
        return self


class DebeziumFormat(ValueFormat):
    """Debezium's envelope in JSON, with or without a schema, and flattened records as the envelope that they were."""

    Options = DebeziumOptions
    options: DebeziumOptions
    writes = False
    skips = True
    tombstones = "skip"

    def summary(self) -> str:
        return "a change event of Debezium"

    def decoder(self, opening: FormatOpening) -> Decoder:
        return self._decoder(opening, event_reader(frozenset(self.options.also)))

    def row_decoder(self, opening: FormatOpening) -> Decoder:
        return self._decoder(opening, row_reader())

    def _decoder(self, opening: FormatOpening, read: Callable[[Any], Any]) -> Decoder:
        if self.options.encoding != "json":
            decode_value = load_format(self._inner()).decoder(opening)
            return lambda value: read(decode_value(value))
        unwrapped = unwrapping(self._conversion)

        def decode(value: bytes) -> Any:
            try:
                return read(unwrapped(value))
            except orjson.JSONDecodeError as error:
                raise undecodable(error) from None

        return decode

    def _inner(self) -> str:
        """The format of the registry; only Avro's schemas tell which fields are decimals and times."""
        encoding, decimals, times = self.options.encoding, self.options.decimals, self.options.times
        if encoding != "avro":
            return encoding
        given = {"decimals": decimals if decimals != "keep" else "text", "times": times}
        return format_with(encoding, **given)

    def _conversion(self, schema: Any) -> Callable[[Any], Any] | None:
        decimals, times = self.options.decimals, self.options.times
        if decimals == times == "keep":
            return None
        if schema is None:
            return _refuse
        return conversion_of(schema, decimals, times)


def _refuse(value: Any) -> Any:
    """Nothing tells what the fields are of a value without a schema, so nothing can be converted.

    Raises:
        UndecodableError: it is not null.
    """
    if value is None:
        return None
    raise UndecodableError(
        "`decimals` and `times` need the schema in each record, and this one has none; set value.converter.schemas.enable=true"
        " at the connector, or let it write text (decimal.handling.mode=string) and leave the options out"
    )
