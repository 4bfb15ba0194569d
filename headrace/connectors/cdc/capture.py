"""One attempt at capturing: from the stored progress until it is stopped or something fails."""

import logging

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.errors import (
    CaptureError,
    ChangesLostError,
    ConditionRefusedError,
    StopAskedError,
)
from headrace.connectors.cdc.progress import Pending, Progress
from headrace.connectors.cdc.signals import Signals, SnapshotRequest, waiting
from headrace.connectors.cdc.source import ChangeSource, Chunk, Position, SourceTable
from headrace.connectors.cdc.tables import TableName, Tables
from headrace.connectors.cdc.writer import Writer
from headrace.runtime.contracts.feed import FeedPlace, FeedState, FeedStatus

logger = logging.getLogger(__name__)

_POLL_S = 0.05
_REPORT_S = 1.0
_SIGNALS_S = 0.5


class Capture:
    """Carries one source through `begin`, snapshot and stream.

    `has_streamed` tells whether it came so far that the next failure is a new one.
    """

    def __init__(
        self,
        config: CdcConfig,
        place: FeedPlace,
        source: ChangeSource,
        writer: Writer,
        progress: Progress | None,
    ) -> None:
        self._config = config
        self._tables = Tables(config.tables, config.exclude)
        self._place = place
        self._source = source
        self._writer = writer
        self._stored = progress
        self._chunk: Chunk | None = None
        self._chunk_table = ""
        self._known: dict[str, SourceTable] = {}
        self._signals: Signals | None = None
        self._next_report_s = self._next_heartbeat_s = self._next_signals_s = 0.0
        self._new: set[str] = set()  # tables that were added, and of which nothing is written yet
        self._has_begun = False
        self.has_streamed = False

    def run(self, *, is_first: bool) -> None:
        """Capture until the place is stopped; `is_first` since the worker has the feed.

        Raises:
            DatabaseUnavailableError, TransactionError: try again with the progress that is stored then.
            CaptureError: somebody has to do something.
        """
        source = self._source
        source.open()
        progress = self._started()
        if progress.phase == "snapshot":
            self._snapshot(progress)
        if progress.phase == "done":
            self._wait()
            return
        if self._place.stopped.is_set():
            return
        if is_first and not self._has_begun and self._config.snapshot == "always":
            self._ask_for(progress, SnapshotRequest(()), is_owed=True)
        self._stream(progress)

    # The beginning

    def _started(self) -> Progress:
        stored = self._stored
        if stored is None or stored.phase == "beginning" or self._is_cut_short(stored):
            return self._begin(stored)
        assert stored.position is not None
        if stored.phase == "done":
            return stored if self._config.snapshot == "only" else self._begin(stored)
        try:
            self._source.verify(stored.identity, stored.position, stored.tables)
        except ChangesLostError as lost:
            if not self._may_repair(stored, lost):
                raise
            self._place.report(FeedStatus(state="starting", text=f"snapshot anew, since {lost}"))
            if not lost.tables:
                return self._begin(stored)
            stored.tables = [name for name in stored.tables if name not in lost.tables]
        self._writer.go_on_at(stored.position)
        stored.phase = "streaming"
        return stored

    def _is_cut_short(self, stored: Progress) -> bool:
        """Whether a snapshot ended within a table that cannot be read in chunks, so that only all over again is right."""
        keyless = {str(one.name) for one in self._source.tables() if not one.has_key}
        return stored.phase == "snapshot" and bool(keyless & set(stored.pending))

    def _may_repair(self, stored: Progress, lost: ChangesLostError) -> bool:
        """Whether the config, or somebody since, asks for a snapshot of what was lost."""
        if self._config.snapshot == "when_needed":
            return True
        requests, _ = waiting(self._place, stored.signals)
        asked = {name for request in requests for name in request.tables}
        is_all = any(not request.tables for request in requests)
        return is_all or (bool(lost.tables) and asked.issuperset(lost.tables))

    def _begin(self, stored: Progress | None) -> Progress:
        """Begin in the database. What a crash leaves behind in between is removed by the next attempt."""
        source, writer = self._source, self._writer
        _, signals = waiting(self._place, stored.signals if stored else 0)
        progress = Progress("beginning", source.identity(), signals=signals)
        writer.commit(progress)
        progress.position = Position(source.begin(again=stored is not None))
        writer.go_on_at(progress.position)
        progress.identity = source.identity()
        tables = source.tables()
        progress.tables = [str(table.name) for table in tables]
        if self._config.snapshot == "never" or self._config.outbox is not None:
            source.end_snapshot()
            progress.phase = "streaming"
        else:
            progress.phase = "snapshot"
            progress.pending = {str(table.name): Pending(is_owed=True) for table in tables}
        writer.commit(progress)
        self._has_begun = True
        return progress

    # The snapshot at the beginning

    def _snapshot(self, progress: Progress) -> None:
        """Read every table as it was at the beginning, part by part, each with the progress behind it."""
        source, writer = self._source, self._writer
        tables = source.tables()
        for table in tables:
            pending = progress.pending.get(str(table.name))
            if pending is None:
                continue
            for rows, cursor in source.snapshot(table, self._condition(table, pending)):
                pending.rows += writer.write_rows(rows)
                pending.cursor = cursor
                writer.commit(progress)
                self._report(progress, "snapshot")
                if self._place.stopped.is_set():
                    return
            del progress.pending[str(table.name)]
        source.end_snapshot()
        progress.phase = "done" if self._config.snapshot == "only" else "streaming"
        writer.commit(progress)

    def _wait(self) -> None:
        self._place.report(
            FeedStatus(
                state="waiting",
                text="the snapshot is complete, and 'snapshot: only' asks for no more",
            )
        )
        self._place.stopped.wait()

    # The stream

    def _stream(self, progress: Progress) -> None:
        place, source, writer = self._place, self._source, self._writer
        self._known = {str(table.name): table for table in source.tables()}
        self._take_added(progress)
        assert progress.position is not None
        source.start(progress.position)
        self._signals = Signals(place, progress.signals)
        committed = progress.position
        last_commit_s = place.clock.monotonic_s()
        interval_s = self._config.heartbeat.total_seconds()
        try:
            while not place.stopped.is_set():
                try:
                    source.poll(writer, _POLL_S)
                except StopAskedError:
                    progress.position = writer.position
                    writer.commit(progress)
                    raise
                is_changed = self._advance_chunk(progress)
                now_s = place.clock.monotonic_s()
                is_time = writer.is_hurried or now_s - last_commit_s >= interval_s
                is_due = is_time and writer.position != committed
                if writer.has_records or is_changed or is_due:
                    progress.position = writer.position
                    writer.commit(progress)
                    committed, last_commit_s = progress.position, now_s
                    source.confirm(committed)
                    self.has_streamed = True
                self._every_so_often(progress, now_s)
        finally:
            self._signals.close()

    def _every_so_often(self, progress: Progress, now_s: float) -> None:
        if now_s >= self._next_signals_s:
            self._next_signals_s = now_s + _SIGNALS_S
            self._take_signals(progress)
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + _REPORT_S
            self._report(progress, "snapshot" if progress.pending else "running")
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + min(self._config.heartbeat.total_seconds(), 4.0)
            self._source.heartbeat(progress.tables)
            self._take_added(progress)
            self.has_streamed = True

    # Tables in chunks, while changes stream in

    def _take_added(self, progress: Progress) -> None:
        """Begin with tables that were made or chosen since, and forget those that are not chosen any more.

        A table that is left out for a while is read anew when it comes back, since its changes were not captured.
        """
        progress.tables = [name for name in progress.tables if self._is_chosen(name)]
        progress.given_up = {
            name: text for name, text in progress.given_up.items() if self._is_chosen(name)
        }
        for table in self._source.added([*progress.tables, *self._new]):
            name = str(table.name)
            self._known[name] = table
            if self._config.snapshot != "never" and self._config.outbox is None and table.has_key:
                progress.pending[name] = Pending(is_owed=True)
                # Stored with its first rows: until then it is added anew after a crash.
                self._new.add(name)
            else:
                progress.tables.append(name)

    def _is_chosen(self, name: str) -> bool:
        return bool(self._tables.chosen([TableName(*name.split(".", 1))]))

    def _take_signals(self, progress: Progress) -> None:
        assert self._signals is not None
        requests, offset = self._signals.new()
        for request in requests:
            self._ask_for(progress, request)
            self._report(progress, "snapshot" if progress.pending else "running")
        progress.signals = offset

    def _ask_for(
        self, progress: Progress, request: SnapshotRequest, *, is_owed: bool = False
    ) -> None:
        chosen = [
            name
            for name, table in self._known_tables().items()
            if not request.tables or table.name in Tables(request.tables).chosen([table.name])
        ]
        for name in chosen:
            if not self._known[name].has_key:
                continue
            unread = progress.pending.get(name)
            is_left = unread is not None and unread.is_owed
            where = request.where
            if where is None and not is_left and not is_owed:
                where = self._configured(self._known[name])
            progress.pending[name] = Pending(where=where, is_owed=is_owed or is_left)
            progress.given_up.pop(name, None)
            if self._chunk_table == name:  # begin again
                self._chunk, self._chunk_table = None, ""
                self._writer.forget_held()

    def _configured(self, table: SourceTable) -> str | None:
        return self._tables.of(self._config.snapshot_where, table.name)

    def _condition(self, table: SourceTable, pending: Pending) -> str | None:
        """The condition of the rows that are to be read; None for all."""
        if not pending.is_owed:
            return pending.where
        owed = self._configured(table)
        if owed is None or pending.where is None:
            return owed
        return f"({owed}) or ({pending.where})"

    def _known_tables(self) -> dict[str, SourceTable]:
        if not self._known:
            self._known = {str(table.name): table for table in self._source.tables()}
        return self._known

    def _advance_chunk(self, progress: Progress) -> bool:
        """Read the next rows, or write those that were read once the stream has come to where they were.

        Returns:
            Whether the progress changed.
        """
        if self._chunk is None:
            return bool(progress.pending) and self._read_chunk(progress)
        if not self._source.has_reached(self._chunk.until):
            return False
        name = self._chunk_table
        pending = progress.pending[name]
        pending.rows += self._writer.release()
        pending.cursor = self._chunk.cursor
        if name in self._new:
            self._new.remove(name)
            progress.tables.append(name)
        if self._chunk.cursor is None:
            del progress.pending[name]
        self._chunk, self._chunk_table = None, ""
        return True

    def _read_chunk(self, progress: Progress) -> bool:
        """Read the next rows of the table that is first; whether there is nothing more to read of it."""
        name, pending = next(iter(progress.pending.items()))
        table = self._known.get(name)
        if table is None:  # dropped, or not chosen any more
            del progress.pending[name]
            return True
        try:
            self._chunk = self._source.chunk(
                table,
                pending.cursor,
                self._config.snapshot_rows,
                self._condition(table, pending),
            )
        except ConditionRefusedError as refused:
            self._give_up(progress, name, refused)
            return True
        if self._chunk is None:  # later; the others first
            progress.pending[name] = progress.pending.pop(name)
            return False
        self._chunk_table = name
        self._writer.hold(self._chunk.rows)
        return False

    def _give_up(self, progress: Progress, name: str, refused: ConditionRefusedError) -> None:
        """Forget a request that the database refuses: kept, it would end the capture at every start.

        Raises:
            CaptureError: nobody has asked; the rows belong to the capture.
        """
        pending = progress.pending.pop(name)
        if pending.is_owed and pending.where is None:
            condition = self._configured(self._known[name])
            raise CaptureError(
                "database_refused",
                f"the rows of {name} cannot be read where {condition}: {refused}; mend 'snapshot_where'",
            ) from refused
        if pending.is_owed:
            progress.pending[name] = Pending(is_owed=True)
        text = (
            f"the snapshot of {name} where {pending.where} was given up after {pending.rows:,} rows: {refused}; ask for it again"
            " with another condition"
        )
        logger.warning("flow '%s': '%s': %s", self._place.flow, self._place.stage, text)
        progress.given_up[name] = text

    # What others see

    def _report(self, progress: Progress, state: FeedState) -> None:
        figures = dict(self._source.figures())
        figures["changes"] = self._writer.changes
        figures["snapshot_tables_left"] = len(progress.pending)
        figures["snapshot_rows"] = sum(one.rows for one in progress.pending.values())
        self._place.report(FeedStatus(state=state, text=self._text(progress), figures=figures))

    def _text(self, progress: Progress) -> str:
        found = list(self._source.notes())
        if progress.pending:
            name, pending = next(iter(progress.pending.items()))
            left = len(progress.pending)
            found.append(f"{pending.rows:,} rows of {name} read, {left} tables left")
        found += progress.given_up.values()
        return "; ".join(found)
