"""`kafka`: starts a run for every record of one or more topics."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import re2
from pydantic import Field, field_validator

from headrace.runtime.contracts.action import ActionConfig, Format, Source, Start, TriggerAction
from headrace.runtime.contracts.format import INLINED, load_format
from headrace.runtime.duration import parse_duration
from headrace.runtime.expression import Expression

NOT_PORTABLE = re.compile(r"\\[a-zA-Z]|\(\?")
"""A classic group matches patterns in the client, as POSIX does; the next generation in the broker, as RE2 does."""
BACK = re.compile(r"-\s*(\d.*)")


class KafkaTriggerConfig(ActionConfig):
    """Which topics, and how their records are read."""

    topics: tuple[str, ...] = Field((), description="the topic, or topics, to read")
    pattern: str | None = Field(
        None, description="a regular expression over whole topic names, in place of `topics`"
    )
    format: Format = Field(
        "json",
        description="how values are decoded: json, text, bytes, or another of docs/formats.md",
    )
    key: Expression | None = Field(None, description="replaces the key of every run")
    timestamp: Expression | None = Field(
        None, description="the event time, in ms since 1970 UTC; otherwise the record's"
    )
    start: Start | str = Field(
        "earliest",
        description="where a new group begins: earliest, latest, a time (ISO 8601 or ms), or how far back, as in -1h",
    )
    tombstones: Literal["pass", "skip"] | None = Field(
        None,
        description="records without a value: pass them on as null, or skip them; debezium skips them, other formats pass them",
    )
    on_data_loss: Literal["fail", "continue"] = Field(
        "fail",
        description="when retention deleted records before they were read: stop, or go on with what is left",
    )

    @field_validator("topics", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("start")
    @classmethod
    def _start(cls, value: Start | str) -> Start:
        return parse_start(value)


class KafkaTrigger(TriggerAction):
    """Reads topics of Kafka."""

    Config = KafkaTriggerConfig
    config: KafkaTriggerConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if bool(config.topics) == bool(config.pattern):
            yield "needs either 'topics' or 'pattern'"
        if config.pattern is not None:
            options = re2.Options()
            options.log_errors = False
            try:
                re2.compile(config.pattern, options=options)
            except re2.error as error:
                yield f"pattern: {error}"
            for found in NOT_PORTABLE.findall(config.pattern):
                yield (
                    f"pattern: '{found}' means different things to Kafka's client and its brokers;"
                    " write [0-9], [a-z] or a plain group"
                )
        for part in config.parts():
            for name in sorted(part.reads & {"results"}):
                yield f"mentions '{name}', but nothing comes before a trigger"

    def summary(self) -> str:
        return ", ".join(self.config.topics) or f"~ {self.config.pattern}"

    def source(self) -> Source:
        config = self.config
        assert not isinstance(config.start, str) or config.start in ("earliest", "latest")
        return Source(
            topics=config.topics,
            pattern=config.pattern,
            value_format=config.format,
            tombstones=config.tombstones or _tombstones(config.format),
            start=parse_start(config.start),
            on_data_loss=config.on_data_loss,
            key=config.key,
            timestamp=config.timestamp,
        )


def _tombstones(value_format: str) -> Literal["pass", "skip"]:
    return "pass" if value_format in INLINED else load_format(value_format).tombstones


def parse_start(value: Start | str) -> Start:
    """Milliseconds since 1970 UTC, negative for a time that counts back from the start of the worker.

    Raises:
        ValueError: it is none of the forms.
    """
    if isinstance(value, int) or value in ("earliest", "latest"):
        return value  # type: ignore[return-value] # narrowed by the line above
    if back := BACK.fullmatch(value.strip()):
        return -int(parse_duration(back[1]).total_seconds() * 1000)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            "must be earliest, latest, a time such as 2026-01-31T12:00:00Z, or how far back, such as -1h"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
