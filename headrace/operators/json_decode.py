"""`json_decode`: text or bytes become data."""

from typing import Any

import orjson
from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described


class JsonDecodeConfig(ActionConfig):
    """Which part of the event is decoded."""

    field: str | None = Field(None, description="decode this field in place of the whole event")


class JsonDecode(InlineAction):
    """Decodes JSON that arrived as bytes or text."""

    Config = JsonDecodeConfig
    config: JsonDecodeConfig

    def summary(self) -> str:
        return f"field {self.config.field}" if self.config.field else ""

    def emit(self, code: Code) -> None:
        decode = code.constant(decode_json, "decode_json")
        decoded = code.variable("event")
        field = self.config.field
        if field is None:
            code.line(f"{decoded} = {decode}({code.event})")
            code.forward(decoded, is_owned=True)
        else:
            code.line(
                f"{decoded} = {{**{code.event}, {field!r}: {decode}({code.event}[{field!r}])}}"
            )
            code.forward(decoded, is_owned=True, is_object=True)


def decode_json(value: Any) -> Any:
    """Decode; data that is no text or bytes is an error that says what it is."""
    if not isinstance(value, str | bytes):
        raise RecordError(
            f"json_decode needs text or bytes, found {described(value)}; the record is decoded already"
        )
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise RecordError(
            f"could not decode the text as JSON at character {error.pos}: {error.msg}"
        ) from None
