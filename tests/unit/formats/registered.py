"""Decoders and encoders of formats that ask a registry."""

from typing import Any

from headrace.runtime.clock import Clock, ManualClock
from headrace.runtime.contracts.format import FormatUse
from headrace.runtime.schema_registry import SchemaRegistrySettings
from headrace.runtime.task.formats import Formats
from tests.registry_server import RegistryServer

OPENED: list[Formats] = []
"""What a test has to close."""


def formats_of(registry: RegistryServer | str, clock: Clock | None = None, **given: Any) -> Formats:
    url = registry if isinstance(registry, str) else registry.url
    settings = SchemaRegistrySettings(url=url, timeout="2s", **given)
    made = Formats({"schema_registry": settings}, clock or ManualClock())
    OPENED.append(made)
    return made


def framed(id_: int, value: bytes) -> bytes:
    return b"\0" + id_.to_bytes(4) + value


def encoder(formats: Formats, how: str, topic: str | None = "orders") -> Any:
    encode = formats.function(FormatUse(how, "write", topic))
    return lambda event: encode(event, topic or "orders")


def decoder(formats: Formats, how: str) -> Any:
    return formats.function(FormatUse(how, "event"))
