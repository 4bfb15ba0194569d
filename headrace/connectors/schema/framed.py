"""What the three formats share: a zero byte, the schema's id in four bytes, and the value."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import orjson
from pydantic import Field

from headrace.connectors.schema.choice import SchemaChoice
from headrace.connectors.schema.registry import Registry, registry_of
from headrace.runtime.contracts.format import (
    Decoder,
    Encoder,
    FormatOpening,
    FormatOptions,
    ValueFormat,
)
from headrace.runtime.errors import (
    RecordError,
    RetriableError,
    SettingsError,
    UndecodableError,
)

MAGIC: Final = 0
FRAME: Final = 5

Reader = Callable[[bytes], Any]
Writer = Callable[[Any], bytes]


def is_test(opening: FormatOpening) -> bool:
    """Whether a flow runs in memory and has no registry: its values are JSON then, so that it can be tested without one."""
    settings = opening.settings
    return settings.get("engine") == "memory" and settings.get("schema_registry") is None


def decode_json(value: bytes) -> Any:
    """What a test gives in place of a value of a registry."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UndecodableError(
            f"without a registry a test's values are JSON, and this is none: {error.msg} at character {error.pos}"
        ) from None


class FramedOptions(FormatOptions):
    """What all of them can be told."""

    schema_: SchemaChoice = Field(
        SchemaChoice(),
        alias="schema",
        description="for writing: inline, file, or subject and version",
    )


class FramedFormat(ValueFormat):
    """A format whose schemas are in a registry; `kind` is what the registry calls it."""

    Options = FramedOptions
    options: FramedOptions
    kind: ClassVar[str]
    takes_descriptors: ClassVar[bool] = False

    def decoder(self, opening: FormatOpening) -> Decoder:
        if is_test(opening):
            return decode_json
        self.check_installed()
        registry = registry_of(opening, f"format {self.summary()}")
        readers: dict[bytes, Reader] = {}

        def decode(value: bytes) -> Any:
            reader = readers.get(value[:FRAME])
            if reader is None:
                reader = readers[value[:FRAME]] = self._reader(registry, value)
            return reader(value)

        return decode

    def _reader(self, registry: Registry, value: bytes) -> Reader:
        if len(value) < FRAME or value[0] != MAGIC:
            what = f"it begins with byte 0x{value[0]:02x}" if value else "it has no bytes"
            raise UndecodableError(
                f"{what}, where a value of a schema registry has a zero byte and the id of its schema; was it written without?"
            )
        id_ = int.from_bytes(value[1:FRAME])
        schema = registry.by_id(id_, is_descriptor=self.takes_descriptors)
        kind = schema.schema_type or "AVRO"
        if kind != self.kind:
            raise UndecodableError(f"its schema {id_} is of type {kind}; change the format")
        return self.reader(registry, schema, id_)

    def encoder(self, opening: FormatOpening, topic: str | None) -> Encoder:
        if is_test(opening):
            return lambda event, _: None if event is None else orjson.dumps(event)
        self.check_installed()
        registry = registry_of(opening, f"format {self.summary()}")
        writers: dict[str, Writer] = {}

        def encode(event: Any, to: str) -> bytes | None:
            if event is None:
                return None
            writer = writers.get(to)
            if writer is None:
                writer = writers[to] = self._writer(registry, to)
            return writer(event)

        if topic is not None:
            try:
                writers[topic] = self._writer(registry, topic)
            except RecordError as error:
                raise SettingsError(f"nothing can be written to '{topic}': {error}") from error
            except RetriableError:
                pass  # the first record asks again, and waits
        return encode

    def _writer(self, registry: Registry, topic: str) -> Writer:
        choice = self.options.schema_
        if choice.is_given:
            schema = self.schema_of(choice.text())
            record = self.record_name(schema) if choice.has_record else ""
            subject = choice.subject_for(topic, record)
            id_ = registry.registered(subject, schema, auto_register=choice.auto_register)
            if self.takes_descriptors:
                schema = registry.by_id(id_, is_descriptor=True)
        else:
            id_, schema = registry.version(
                choice.subject_for(topic, ""),
                choice.version,
                is_descriptor=self.takes_descriptors,
            )
        kind = schema.schema_type or "AVRO"
        if kind != self.kind:
            raise RecordError(
                f"schema {id_} of topic '{topic}' is of type {kind}; change the format"
            )
        return self.writer(registry, schema, id_, bytes([MAGIC]) + id_.to_bytes(4))

    def schema_of(self, text: str) -> Any:
        """The client's object for a schema."""
        from confluent_kafka.schema_registry import Schema

        return Schema(text, self.kind)

    @abstractmethod
    def check_installed(self) -> None:
        """Raise a SettingsError where a package is missing."""

    @abstractmethod
    def reader(self, registry: Registry, schema: Any, id_: int) -> Reader:
        """A function from the whole bytes of a value of this schema to the event."""

    @abstractmethod
    def writer(self, registry: Registry, schema: Any, id_: int, frame: bytes) -> Writer:
        """A function from an event to the bytes of a value of this schema, behind its frame."""

    @abstractmethod
    def record_name(self, schema: Any) -> str:
        """The name of what the schema describes.

        Raises:
            RecordError: the schema cannot be read.
        """
