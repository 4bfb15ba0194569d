"""`publish`: writes records to a topic, in the flow's transaction."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction, Sink, WriteFormat
from headrace.runtime.contracts.format import format_with
from headrace.runtime.expression import Expression, Template

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]


class PublishConfig(ActionConfig):
    """Where to and how; what is left out is kept as the run has it."""

    topic: Template = Field(description="the topic; `${...}` may stand anywhere inside")
    key: Expression | None = Field(
        None, description="the new key; text as it is, everything else as JSON"
    )
    value: Expression | None = Field(
        None, description="what is written; the event when left out; null is a tombstone"
    )
    headers: dict[str, Template] = Field(
        default_factory=dict, description="headers to add; they win over the run's own"
    )
    partition: Expression | None = Field(
        None, description="the partition, as a number; otherwise the key decides"
    )
    timestamp: Literal["now"] | Expression | None = Field(
        None,
        description="event time in ms since 1970 UTC; `now` for the time of writing; otherwise the run's",
    )
    format: WriteFormat = Field(
        "json",
        description="how the value is written: json, text, bytes, or another of docs/formats.md",
    )
    schema_: dict[str, Any] | None = Field(
        None,
        alias="schema",
        description="of avro, protobuf and json_schema: inline, file, or subject and version; see docs/formats.md",
    )
    compression: Compression | None = Field(
        None, description="of the whole flow's producer: none, gzip, snappy, lz4 or zstd"
    )
    expired: Literal["refuse", "allow"] = Field(
        "refuse",
        description="what to do when the topic's retention would delete the records at once",
    )


class Publish(InlineAction):
    """Writes every record to a topic, and passes it on unchanged."""

    Config = PublishConfig
    config: PublishConfig

    def sinks(self) -> tuple[Sink, ...]:
        topic = self.config.topic
        return (
            Sink(
                topic=str(topic.constant) if topic.is_constant else None,
                text=str(topic.value),
                keeps_event_time=self.config.timestamp != "now",
                compression=self.config.compression,
                allows_expired=self.config.expired == "allow",
            ),
        )

    def problems(self) -> Iterable[str]:
        topic = self.config.topic
        try:
            self._format()
        except ValueError as error:
            yield f"schema: {error}"
        if topic.is_constant and not is_topic_name(topic.constant):
            yield (
                "topic: a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
                f"; found {str(topic.constant)!r}"
            )

    def _format(self) -> str:
        schema = self.config.schema_
        return (
            self.config.format if schema is None else format_with(self.config.format, schema=schema)
        )

    def summary(self) -> str:
        key = f" by {self.config.key.text}" if self.config.key else ""
        return f"to {self.config.topic.value}{key}"

    def emit(self, code: Code) -> None:
        config = self.config
        names = {
            "headers": [
                (repr(name), code.expression(part)) for name, part in config.headers.items()
            ]
        }
        timestamp = None
        if config.timestamp == "now":
            timestamp = "0"
        elif config.timestamp is not None:
            timestamp = f"event_time({code.expression(config.timestamp)})"
        value = None
        if config.value is not None:
            value = code.variable("value")
            code.line(f"{value} = {code.expression(config.value)}")
        code.produce(
            repr(config.topic.constant)
            if config.topic.is_constant
            else code.expression(config.topic),
            is_topic_constant=config.topic.is_constant,
            value_format=self._format(),
            key=code.expression(config.key) if config.key is not None else None,
            headers=names["headers"],
            partition=code.expression(config.partition) if config.partition is not None else None,
            timestamp=timestamp,
            value=value,
        )
        code.forward(code.event, is_unchanged=True)


def is_topic_name(name: object) -> bool:
    """Whether Kafka accepts this as the name of a topic."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= 249
        and name not in (".", "..")
        and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    )
