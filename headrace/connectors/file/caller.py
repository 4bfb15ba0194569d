"""Writes the records of one `file` stage.

A record is on the disk before its transaction commits, in a part. A part becomes a file at a commit (`committed`), or when it is
old enough and everything in it is committed. What a crash leaves behind is completed at the next start, by whoever comes
first; it may hold records that come again: at least once.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from headrace.connectors.connection import text_setting
from headrace.connectors.file.completion import complete, extension_of
from headrace.connectors.file.config import FileConfig
from headrace.connectors.file.lines import Lines
from headrace.connectors.file.part import Part, leftovers
from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Opening, Outcome
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression.errors import described

logger = logging.getLogger(__name__)

PARTITION: Final = "partition"
VALUE: Final = "value"
_LOOK_EVERY_S: Final = 1.0


class FileCaller(Caller):
    """One part per partition; the disk is waited for in threads, one at a time."""

    def __init__(self, config: FileConfig, opening: Opening) -> None:
        if config.format == "parquet":
            try:
                import pyarrow  # noqa: F401 # asked for early, so that a flow without it ends before its first record
            except ImportError:
                raise SettingsError(
                    "format: parquet needs the extra 'parquet': pip install 'headrace[parquet]'"
                ) from None
        self._config = config
        self._clock = opening.clock
        self._folder = Path(text_setting("folder", opening.settings["folder"]))
        self._prefix = f"{opening.flow}.{opening.stage}"
        self._lines = Lines(config)
        self._parts: dict[str, Part] = {}
        self._disk = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._recover)
        except OSError as error:
            raise SettingsError(f"folder: cannot be used: {_reason(error)}") from error
        self._watch = asyncio.create_task(self._complete_old_ones())

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        outcomes = [Outcome((call.event,)) for call in calls]
        numbers: dict[str, list[int]] = {}
        lines: dict[str, list[bytes]] = {}
        for number, call in enumerate(calls):
            try:
                place = _checked(call.arguments.get(PARTITION, ""))
                line = self._lines.line(call.arguments.get(VALUE, call.event))
            except RecordError as error:
                outcomes[number] = Outcome(error=error)
                continue
            numbers.setdefault(place, []).append(number)
            lines.setdefault(place, []).append(line)
        async with self._disk:
            failed = await asyncio.to_thread(self._append, lines)
        for place, failure in failed.items():
            for number in numbers[place]:
                outcomes[number] = Outcome(error=failure)
        return outcomes

    async def committed(self) -> None:
        async with self._disk:
            for part in self._parts.values():
                part.committed()
            await asyncio.to_thread(self._complete_due)

    async def close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        async with self._disk:
            await asyncio.to_thread(self._complete_all)

    async def _complete_old_ones(self) -> None:
        """A flow without records has no commits, but its files become old."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            async with self._disk:
                await asyncio.to_thread(self._complete_due)

    # ---- on a thread, one at a time

    def _recover(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in leftovers(self._folder, self._prefix):
            self._completed(path)

    def _append(self, lines: dict[str, list[bytes]]) -> dict[str, CallFailedError]:
        failed = {}
        for place, added in lines.items():
            try:
                self._part(place).append(added)
            except OSError as error:
                failed[place] = CallFailedError(
                    f"writing to a file failed: {_reason(error)}",
                    is_temporary=True,
                    status=error.errno,
                )
        return failed

    def _part(self, place: str) -> Part:
        part = self._parts.pop(place, None)
        if part is None:
            if len(self._parts) >= self._config.open_files:
                self._complete(next(iter(self._parts)))
            part = Part.new(
                self._folder / place,
                self._prefix,
                extension_of(self._config),
                self._lines.header,
                self._clock.now_ms(),
                self._clock.monotonic_s(),
            )
        self._parts[place] = part  # the one used last is last
        return part

    def _complete_due(self) -> None:
        roll = self._config.roll
        old_s = self._clock.monotonic_s() - roll.every.total_seconds()
        for place, part in list(self._parts.items()):
            is_due = part.rows >= roll.rows or part.size >= roll.bytes or part.opened_s <= old_s
            if is_due and part.is_committed:
                self._complete(place)

    def _complete_all(self) -> None:
        for place, part in list(self._parts.items()):
            if not part.is_committed:
                part.forget_uncommitted()
            self._complete(place)

    def _complete(self, place: str) -> None:
        part = self._parts.pop(place)
        try:
            self._completed(part.path)
        finally:
            part.close()

    def _completed(self, path: Path) -> None:
        try:
            complete(path, self._config, len(self._lines.header))
        except OSError as error:
            logger.warning(
                "'%s' cannot be completed now and will be at the next start: %s",
                path.name,
                _reason(error),
            )


def _checked(partition: Any) -> str:
    """A relative path that stays inside.

    Raises:
        RecordError: it does not, or is none.
    """
    if isinstance(partition, int | float) and not isinstance(partition, bool):
        partition = str(partition)
    if not isinstance(partition, str):
        raise RecordError(f"partition: must be text, found {described(partition)}")
    if partition == "":
        return ""
    steps = partition.split("/")
    if any(
        not step or step.startswith(".") or "\0" in step or len(step.encode()) > 200
        for step in steps
    ):
        raise RecordError(
            "partition: must be names with '/' between them, none of which is empty, begins with '.', or is longer than 200 bytes"
        )
    return str(PurePosixPath(partition))


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
