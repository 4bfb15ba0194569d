"""By which schema values are written: the key `schema` of `publish`."""

from pathlib import Path
from typing import Any, Final, Literal

import orjson
from pydantic import Field, model_validator

from headrace.runtime.contracts.format import FormatOptions
from headrace.runtime.errors import SettingsError

SUFFIX: Final = "-value"


class SchemaChoice(FormatOptions):
    """A schema that is given, or one of the registry; and under which subject."""

    inline: str | dict[str, Any] | list[Any] | None = Field(
        None, description="the schema itself, as text or as a mapping"
    )
    file: Path | None = Field(None, description="a file with the schema")
    subject: str | None = Field(
        None, description="the subject; otherwise `strategy` makes it of the topic's name"
    )
    version: int | None = Field(
        None, ge=1, description="of the subject; otherwise the latest when the worker starts"
    )
    strategy: Literal["topic", "record", "topic_record"] = Field(
        "topic",
        description="the subject: `<topic>-value`, the record's name, or `<topic>-<record's name>`",
    )
    auto_register: bool = Field(False, description="register the schema that is given")
    message: str | None = Field(
        None, description="protobuf: the message to write; otherwise the file's first"
    )

    @model_validator(mode="after")
    def _check(self) -> "SchemaChoice":
        if self.inline is not None and self.file is not None:
            raise ValueError("'inline' and 'file' are two schemas; keep one")
        if self.is_given and self.version is not None:
            raise ValueError("'version' is of the registry; leave it out, or the schema beside it")
        if self.auto_register and not self.is_given:
            raise ValueError("'auto_register' needs a schema to register, as 'inline' or 'file'")
        if self.strategy != "topic" and self.subject is not None:
            raise ValueError("'strategy' makes a subject, but 'subject' is given; keep one")
        if self.strategy != "topic" and not self.is_given:
            raise ValueError(
                f"strategy {self.strategy} needs the record's name; give the schema as 'inline' or 'file'"
            )
        return self

    @property
    def is_given(self) -> bool:
        """Whether the document has the schema itself."""
        return self.inline is not None or self.file is not None

    def text(self) -> str:
        """The schema that is given.

        Raises:
            SettingsError: its file cannot be read.
        """
        if self.file is None:
            is_text = isinstance(self.inline, str)
            return str(self.inline) if is_text else orjson.dumps(self.inline).decode()
        try:
            return self.file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"the schema file {self.file} cannot be read: {type(error).__name__}"
            ) from error

    @property
    def has_record(self) -> bool:
        """Whether the name in the schema is part of the subject; a JSON Schema may have none."""
        return self.subject is None and self.strategy != "topic"

    def subject_for(self, topic: str, record: str) -> str:
        """The subject of the schema of a topic's values; `record` is the name in the schema, where `has_record`."""
        if self.subject is not None:
            return self.subject
        if self.strategy == "topic":
            return topic + SUFFIX
        return record if self.strategy == "record" else f"{topic}-{record}"
