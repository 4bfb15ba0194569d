"""The config of `file`."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Expression, Template

FileFormat = Literal["json_lines", "csv", "parquet"]
Compression = Literal["none", "gzip", "zstd", "snappy"]


class RollConfig(ActionConfig):
    """When a file is complete: whichever comes first, at the commit behind it."""

    rows: int = Field(1_000_000, ge=1, description="so many records")
    bytes: int = Field(128_000_000, ge=1, description="so many bytes, before compression")
    every: Duration = Field(timedelta(minutes=15), description="so long after its first record")


class FileConfig(ActionConfig):
    """Where files go, and what is in them."""

    folder: Template = Field(
        description="the folder, which is made where it is not there; may mention env and secret"
    )
    partition: Template | None = Field(
        None,
        description="a folder inside it, by record, such as day=${event.day}; cannot lead out of it",
    )
    format: FileFormat = Field("json_lines", description="json_lines, csv or parquet")
    value: Expression | None = Field(None, description="what is written; otherwise the event")
    columns: list[str] = Field(
        default_factory=list,
        description="the fields to write, in their order; needed for csv; otherwise all",
    )
    compression: Compression | None = Field(
        None,
        description="json_lines and csv: none or gzip (otherwise none); parquet: none, snappy, gzip or zstd (otherwise zstd)",
    )
    roll: RollConfig = Field(
        RollConfig(), description="when a file is complete: rows, bytes, every"
    )
    open_files: int = Field(
        64, ge=1, le=10_000, description="files that are written at the same time at most"
    )
