"""The `config` of a join."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Format
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Expression, ExtraNames

ValueExpression = Annotated[Expression, ExtraNames("left", "right")]
VALUE_NAMES = ("left", "right", "key", "timestamp")
"""What `value` may mention; a result belongs to two records, so there is no `event`."""
ROW_NAMES = ("event", "key", "timestamp")
"""What an expression may mention that the join itself evaluates for one record."""


class Table(ActionConfig):
    """A topic that is read as a table, without a stage in front."""

    table: str = Field(
        description="the topic: the last value of each key counts, a null value deletes"
    )
    is_global: bool = Field(
        False,
        alias="global",
        description="every worker holds all of the table: it needs no equal partitions, and memory and disk for all of it",
    )
    format: Format = Field(
        "json",
        description="how values are decoded: json, text, bytes, or another of docs/formats.md",
    )


class Within(ActionConfig):
    """How far the right record may lie from the left one, in event time; both ends count."""

    before: Duration = Field(
        timedelta(0), description="so much earlier than the left record may the right one be"
    )
    after: Duration = Field(
        timedelta(0), description="so much later than the left record may the right one be"
    )


class ReadAs(ActionConfig):
    """What the records of the two stages are: events of a stream, or changes of a table."""

    left: Literal["stream", "table"] = Field("stream", description="stream or table")
    right: Literal["stream", "table"] = Field("stream", description="stream or table")


class LateTopic(ActionConfig):
    """A topic for late records."""

    topic: str = Field(description="the topic that late records are written to")


class JoinConfig(ActionConfig):
    """Which two inputs, by which key, and what is made of them."""

    left: str | None = Field(
        None, description="the stage on the left; otherwise the first that sends to this one"
    )
    right: str | Table | None = Field(
        None,
        description="the stage on the right, otherwise the second one; or `{table: topic}`, a topic that is read as a table",
    )
    as_: ReadAs = Field(
        ReadAs(),
        alias="as",
        description="`{right: table}` reads the records of a stage as a table: upserts by key, null deletes; likewise `left`",
    )
    type: Literal["inner", "left", "outer"] = Field(
        "inner",
        description="inner: only what matches; left: also left ones without a match; outer: also right ones",
    )
    within: Duration | Within | None = Field(
        None,
        description="two streams: how far apart in event time; `{before, after}`: so much earlier or later may the right one be",
    )
    grace: Duration = Field(
        timedelta(0),
        description="two streams: how long, in event time, matches are waited for after the window has ended",
    )
    wait: Duration | None = Field(
        None,
        description="a stream and a table: hold each record until the watermark is so far past it, for rows that come late",
    )
    left_key: Expression | None = Field(
        None, description="the key of a left record; otherwise the record's own"
    )
    right_key: Expression | None = Field(
        None, description="the key of a right record; otherwise the record's own"
    )
    foreign_key: Expression | None = Field(
        None, description="two tables: the key of the right row, read from the left row"
    )
    as_of: bool = Field(
        False,
        description="a stream and a table: use the row that was valid at the record's event time",
    )
    history: Duration | None = Field(
        None, description="with `as_of`: how long, in event time, replaced rows are kept"
    )
    value: ValueExpression | None = Field(
        None,
        description="the result, of `left` and `right` (null without a match), `key`, `timestamp`; otherwise `{left, right}`",
    )
    late: str | LateTopic | None = Field(
        None, description="where late records go: a stage, or `{topic: name}`"
    )

    @property
    def is_left_table(self) -> bool:
        return self.as_.left == "table"

    @property
    def is_right_table(self) -> bool:
        return isinstance(self.right, Table) or self.as_.right == "table"

    @property
    def topic(self) -> Table | None:
        """The topic that is read as the right table, where no stage is."""
        return self.right if isinstance(self.right, Table) else None

    @property
    def is_global(self) -> bool:
        return self.topic is not None and self.topic.is_global

    @property
    def before_ms(self) -> int:
        return milliseconds(self.within.before if isinstance(self.within, Within) else self.within)

    @property
    def after_ms(self) -> int:
        return milliseconds(self.within.after if isinstance(self.within, Within) else self.within)


def milliseconds(duration: timedelta | None) -> int:
    """Whole milliseconds, rounded up so that a duration above 0 never becomes 0."""
    return -(-(duration or timedelta(0)) // timedelta(milliseconds=1))


def names_beyond(
    field: str, part: Expression | None, known: tuple[str, ...], why: str
) -> Iterator[str]:
    """Problems of an expression that mentions more than the join has at hand when it evaluates it."""
    for name in sorted(part.reads.difference(known)) if part is not None else ():
        there = ", ".join(f"'{name}'" for name in known)
        yield f"{field}: mentions '{name}', {why}; there are {there}"


def is_topic_name(name: str) -> bool:
    """Whether Kafka accepts this as the name of a topic."""
    return (
        0 < len(name) <= 249
        and name not in (".", "..")
        and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    )
