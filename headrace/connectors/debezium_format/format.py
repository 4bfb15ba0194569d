"""The format and its options."""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import Field

from headrace.connectors.debezium_format.change import Kind, event_reader, row_reader
from headrace.connectors.debezium_format.conversion import Decimals, Times, conversion_of
from headrace.connectors.debezium_format.schema_wrapper import undecodable, unwrapping
from headrace.runtime.contracts.format import (
    Decoder,
    FormatOpening,
    FormatOptions,
    ValueFormat,
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
    also: tuple[Kind, ...] = Field(
        (), description="records about the connector that start runs too, as they are"
    )


class DebeziumFormat(ValueFormat):
    """Debezium's envelope in JSON, with or without a schema, and flattened records as the envelope that they were."""

    Options = DebeziumOptions
    options: DebeziumOptions
    writes = False
    skips = True
    tombstones = "skip"

    def summary(self) -> str:
        return "a change event of Debezium"

    def decoder(self, opening: FormatOpening) -> Decoder:  # noqa: ARG002 # it needs nothing of the worker
        return self._decoder(event_reader(frozenset(self.options.also)))

    def row_decoder(self, opening: FormatOpening) -> Decoder:  # noqa: ARG002 # likewise
        return self._decoder(row_reader())

    def _decoder(self, read: Callable[[Any], Any]) -> Decoder:
        unwrapped = unwrapping(self._conversion)

        def decode(value: bytes) -> Any:
            try:
                return read(unwrapped(value))
            except orjson.JSONDecodeError as error:
                raise undecodable(error) from None

        return decode

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
