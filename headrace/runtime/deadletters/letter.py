"""One dead letter, as its headers tell it."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final

import orjson

from headrace.runtime.contracts.broker import Headers, Message, TopicPartition
from headrace.runtime.task.records import BYTES, CROSSING, OWN, PARTLY_DONE, RUN, SENDER, TRIGGER
from headrace.runtime.task.stage_event import VALUE

CARRIED: Final = (RUN, TRIGGER, CROSSING, BYTES, SENDER)
"""What a record of a topic between stages needs besides its value."""
OMITTED: Final = "headrace-value-omitted"
EDITED: Final = "headrace-edited"
"""The id of the letter that this one was made of by editing."""


@dataclass(frozen=True)
class Letter:
    """A record of a dead-letter topic. What somebody else wrote there has neither stage nor source."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers

    @classmethod
    def of(cls, message: Message) -> "Letter":
        return cls(
            message.partition(),
            message.offset(),
            message.key(),
            message.value(),
            message.timestamp()[1],
            list(message.headers() or ()),
        )

    @property
    def id(self) -> str:
        """What commands call it: partition and offset in the dead-letter topic."""
        return f"{self.partition}-{self.offset}"

    def told(self, name: str) -> str:
        """The header `headrace-<name>` as text; empty when it is missing."""
        value = self.raw(OWN + name)
        return (value or b"").decode(errors="replace")

    def raw(self, name: str) -> bytes | None:
        """The last header of this name: one of the user's may have it, too, and headrace's own come behind."""
        found = [value for header, value in self.headers if header == name]
        return found[-1] if found else None

    @property
    def stage(self) -> str:
        return self.told("stage")

    @property
    def error_type(self) -> str:
        return self.told("error-type")

    @property
    def error(self) -> str:
        return self.told("error")

    @property
    def failed_at_ms(self) -> int:
        """When it failed; the time of the record where nothing is told."""
        told = self.told("failed-at")
        return int(told) if told.isdigit() else self.timestamp_ms

    @property
    def source(self) -> TopicPartition | None:
        """Where the record was read that failed."""
        topic, partition = self.told("source-topic"), self.told("source-partition")
        return TopicPartition(topic, int(partition)) if topic and partition.isdigit() else None

    @property
    def source_offset(self) -> int:
        """-1 where no single record failed, such as in a stage behind a window."""
        told = self.told("source-offset")
        return int(told) if told.isdigit() else -1

    @property
    def source_timestamp_ms(self) -> int:
        told = self.told("source-timestamp")
        return int(told) if told.isdigit() else self.timestamp_ms

    @property
    def is_edited(self) -> bool:
        return self.raw(EDITED) is not None

    @property
    def is_event(self) -> bool:
        """Whether the value is the event that came to the stage, not the record that was read."""
        return self.raw(VALUE) is not None

    @property
    def enters(self) -> bool:
        """Whether it is all that it takes to go on at the stage."""
        return self.raw(VALUE) == b"event" and self.value is not None

    @property
    def is_partly_done(self) -> bool:
        """Whether the stage that failed may have sent on something of the event already."""
        return self.raw(PARTLY_DONE) is not None

    @property
    def user_headers(self) -> Headers:
        """The headers that the record itself had."""
        return [pair for pair in self.headers if not pair[0].startswith(OWN)]

    @property
    def carried(self) -> Headers:
        """Headers that the record had in a topic between stages."""
        return [pair for pair in self.headers if pair[0] in CARRIED]

    def as_dict(self) -> dict[str, Any]:
        """Everything, with bytes as text where they are text."""
        source = self.source
        return {
            "id": self.id,
            "stage": self.stage,
            "action": self.told("action"),
            "error": {"type": self.error_type, "message": self.error},
            "failed_at_ms": self.failed_at_ms,
            "flow": self.told("flow"),
            "flow_version": self.told("flow-version"),
            "run": self.told("run"),
            "source": {
                "topic": source.topic,
                "partition": source.partition,
                "offset": self.source_offset,
                "timestamp_ms": self.source_timestamp_ms,
            }
            if source
            else None,
            "key": shown(self.key),
            "headers": {name: shown(value) for name, value in self.user_headers},
            "results": _json_or_text(self.raw(CROSSING)),
            "edited_from": self.told("edited") or None,
            "value_is": "event" if self.is_event else "record",
            "value_bytes_omitted": int(self.told("value-omitted") or 0) or None,
            "value": _json_or_text(self.value),
        }


def shown(value: bytes | None) -> str | None:
    """Bytes for people: text where they are UTF-8, else base64 with a mark in front."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"base64:{b64encode(value).decode()}"


def _json_or_text(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return shown(value)
