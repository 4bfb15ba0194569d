"""What becomes of a part that is complete: compressed or converted, then given its name in one step."""

import gzip
import logging
import os
import shutil
from pathlib import Path

from headrace.connectors.file.config import FileConfig
from headrace.connectors.file.part import final_path, publish

logger = logging.getLogger(__name__)


def extension_of(config: FileConfig) -> str:
    """What names of complete files end in."""
    if config.format == "parquet":
        return "parquet"
    kind = "jsonl" if config.format == "json_lines" else "csv"
    return f"{kind}.gz" if config.compression == "gzip" else kind


def complete(part: Path, config: FileConfig, header_bytes: int) -> Path | None:
    """Make a complete file of a part; the file's path, or None where there was no record in it.

    Whoever lists the folder sees the file either not at all or whole. Done again after a crash it does the same again.
    """
    if part.stat().st_size <= header_bytes:
        part.unlink()
        return None
    final = final_path(part)
    if final.suffix not in (".parquet", ".gz"):
        publish(part, final)
        return final
    made = part.with_name(part.name + ".tmp")
    if final.suffix == ".gz":
        with part.open("rb") as source, made.open("wb") as target:
            with gzip.GzipFile("", "wb", 6, target, mtime=0) as packed:
                shutil.copyfileobj(source, packed, 1_048_576)
            target.flush()
            os.fsync(target.fileno())
    elif not _as_parquet(part, made, config):
        final = final.with_suffix(".jsonl")
        publish(part, final)
        return final
    publish(made, final)
    part.unlink()
    return final


def _as_parquet(part: Path, made: Path, config: FileConfig) -> bool:
    """Whether the rows of a part could be written as Parquet."""
    import pyarrow as pa
    from pyarrow import json, parquet

    try:
        table = json.read_json(part, json.ReadOptions(block_size=64_000_000))
    except pa.ArrowInvalid:
        # Its words may quote the records.
        logger.warning(
            "'%s': a column has values of different types, so that it stays as JSON lines; give each field one type",
            final_path(part).name,
        )
        return False
    if config.columns:
        table = table.select([name for name in config.columns if name in table.column_names])
    compression = config.compression or "zstd"
    with made.open("wb") as target:
        parquet.write_table(table, target, compression=compression)
        target.flush()
        os.fsync(target.fileno())
    return True
