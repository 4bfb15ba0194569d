"""The config of `hydrate`, but for the fields of lookups that are installed."""

from pydantic import Field

from headrace.operators.answer_cache import CacheConfig
from headrace.runtime.contracts.action import ActionConfig, Format
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Expression


class HydrateConfig(ActionConfig):
    """One source, the key to look up, and where what is found goes."""

    table: str | None = Field(
        None,
        description="source: a topic read as a table, in which the last value of each key counts",
    )
    is_global: bool = Field(
        False,
        alias="global",
        description="with `table`: every worker holds all of the table, so that records are not moved to its partitions",
    )
    format: Format = Field(
        "json",
        description="with `table`: how its values are decoded: json, text, bytes, or another of docs/formats.md",
    )
    as_of: bool = Field(
        False, description="with `table`: use the row that was valid at the record's event time"
    )
    history: Duration | None = Field(
        None,
        description="with `as_of`: how long, in event time, replaced rows are kept; older records find nothing",
    )
    key: Expression | None = Field(
        None, description="the key to look up; otherwise the record's own"
    )
    into: str | None = Field(
        None,
        description="the field that gets what is found; otherwise the last part of the table's name, as in shop.customers",
    )
    merge: bool = Field(
        False,
        description="merge the fields of what is found into the event, in place of `into`; they win over the event's",
    )
    select: list[str] = Field(
        default_factory=list, description="keep only these fields of what is found; otherwise all"
    )
    cache: CacheConfig | None = Field(
        None,
        description="not with `table`: remember answers: ttl, missing_ttl, entries; otherwise each batch asks anew",
    )
    missing: str = Field(
        "pass",
        description="when nothing is found: pass (`into` becomes null), drop, fail, or the name of a stage that gets the record",
    )
