"""The config of `reduce`."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag

from headrace.operators.reduce.aggregation import Aggregation
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration, parse_duration
from headrace.runtime.expression import Expression

MILLISECOND: Final = timedelta(milliseconds=1)


def in_ms(duration: timedelta) -> int:
    """A duration in milliseconds."""
    return duration // MILLISECOND


def _whole(duration: timedelta) -> timedelta:
    if duration % MILLISECOND:
        raise ValueError("must be whole milliseconds")
    return duration


def _length(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than nothing")
    return _whole(duration)


def _step(value: Any) -> timedelta | int:
    """How far apart windows are: a duration, or a number of records."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("must be at least 1")
        return value
    return _length(parse_duration(value))


def _form(value: Any) -> str | None:
    """Which of two ways to write a value was taken."""
    if isinstance(value, str):
        return "word"
    return "mapping" if isinstance(value, dict | ActionConfig) else None


Length = Annotated[Duration, AfterValidator(_length)]
Pause = Annotated[Duration, AfterValidator(_whole)]


class WindowConfig(ActionConfig):
    """One kind of window."""

    tumbling: Length | None = Field(None, description="windows of this length, side by side")
    hopping: Length | None = Field(
        None, description="windows of this length that begin `every` so often and overlap"
    )
    sliding: Length | None = Field(
        None, description="for every record the time of this length that ends with it"
    )
    session: Length | None = Field(
        None, description="records with pauses of at most this length between them"
    )
    count: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = Field(
        None, description="so many records of the key, as they arrive"
    )
    every: (
        Annotated[timedelta | int, PlainValidator(_step, json_schema_input_type=Duration | int)]
        | None
    ) = Field(
        None,
        description="how far apart hopping windows (a duration) or count windows (records) begin",
    )


class EarlyConfig(ActionConfig):
    """Final results, and early ones before."""

    every: Length = Field(
        description="how often results of open windows are sent, on the wall clock"
    )


class TopicConfig(ActionConfig):
    """A topic."""

    topic: Annotated[str, Field(min_length=1)] = Field(description="the name of the topic")


class IdleConfig(ActionConfig):
    """Closing when no records come."""

    idle: Length = Field(
        description="close by event time, and all open windows after so long without a record"
    )


Emit = Annotated[
    Annotated[Literal["updates", "final"], Tag("word")] | Annotated[EarlyConfig, Tag("mapping")],
    Discriminator(
        _form,
        custom_error_type="emit",
        custom_error_message="must be updates, final, or a mapping with 'every'",
    ),
]
Late = Annotated[
    Annotated[str, Tag("word")] | Annotated[TopicConfig, Tag("mapping")],
    Discriminator(
        _form,
        custom_error_type="late",
        custom_error_message="must be the name of a stage, or a mapping with 'topic'",
    ),
]
Close = Annotated[
    Annotated[Literal["event", "wall"], Tag("word")] | Annotated[IdleConfig, Tag("mapping")],
    Discriminator(
        _form,
        custom_error_type="close",
        custom_error_message="must be event, wall, or a mapping with 'idle'",
    ),
]


class ReduceConfig(ActionConfig):
    """What is brought together and what is made of it; or `concat_field` or `merge`, which make one map of a list."""

    key: Expression | None = Field(
        None, description="what to group by; the record's own key when left out"
    )
    window: WindowConfig | None = Field(
        None,
        description="tumbling: 1m; hopping: 10m, every: 1m; sliding: 5m; session: 30m; or count: 100;"
        " one result per key over all time when left out",
    )
    aggregate: dict[str, Aggregation] = Field(
        default_factory=dict,
        description="result field to aggregation: count, sum, min, max, mean, first, last, collect, distinct,"
        " count_distinct, top, bottom, quantile or reducer",
    )
    grace: Pause = Field(
        timedelta(0), description="how long after its end a window still takes records"
    )
    late: Late | None = Field(
        None, description="where records go that come too late: a stage, or {topic: name}"
    )
    emit: Emit | None = Field(
        None,
        description="updates: results that changed, with every commit (default); final: each window once, when it is"
        " closed; {every: 10s}: final, and early results every 10 s",
    )
    close: Close = Field(
        "event",
        description="event: windows close by event time; wall: by the clock; {idle: 30s}: also after 30 s without a record",
    )
    ttl: Length | None = Field(
        None, description="without a window: forget a key so long after its last record"
    )
    concat_field: str | None = Field(
        None, description="the event is a list of maps: put all of it under this field"
    )
    merge: bool = Field(
        False, description="the event is a list of maps: merge them; later ones win"
    )
