"""`file`: writes records to files that appear when they are complete."""

from collections.abc import Iterable, Mapping

from headrace.connectors.connection import settings_of
from headrace.connectors.file.caller import PARTITION, VALUE, FileCaller
from headrace.connectors.file.config import FileConfig
from headrace.runtime.contracts.call import BatchAction, Caller, Opening
from headrace.runtime.expression import Expression, Template


class File(BatchAction):
    """Writes each event to a file, at least once, and passes it on as it is."""

    Config = FileConfig
    config: FileConfig
    keeps_order = True

    @property
    def batch_size(self) -> int:
        """One wait for the disk serves them all."""
        return 1_000

    @property
    def concurrency(self) -> int:
        return 1

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.format == "csv" and not config.columns:
            yield "columns: csv needs the fields to write, in their order"
        if config.format != "parquet" and config.compression in ("zstd", "snappy"):
            yield f"compression: {config.format} is compressed with gzip, or not at all"
        if config.partition is not None and not isinstance(config.partition.value, str):
            yield "partition: must be text"

    def summary(self) -> str:
        inside = f"/{self.config.partition.value}" if self.config.partition else ""
        return f"{self.config.format} in {self.config.folder.value}{inside}"

    def arguments(self) -> Mapping[str, Expression | Template]:
        given = {PARTITION: self.config.partition, VALUE: self.config.value}
        return {name: part for name, part in given.items() if part is not None}

    def settings(self) -> Mapping[str, Template]:
        return settings_of(self.config.folder, "folder")

    def caller(self, opening: Opening) -> Caller:
        return FileCaller(self.config, opening)
