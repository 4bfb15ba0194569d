"""A capture seen from the command line."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.engines import source_of
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.connectors.cdc.progress import (
    make_topics,
    positions_topic,
    read_progress,
    signals_topic,
)
from headrace.connectors.cdc.signals import SnapshotRequest
from headrace.connectors.cdc.source import ChangeSource, SourceTable
from headrace.connectors.cdc.tables import Tables
from headrace.connectors.cdc.topics import Topics
from headrace.runtime.contracts.capture import CaptureStatus, Finding
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import SettingsError

_TIMEOUT_S = 10.0
WORKER_READS = (
    "with engine {engine} the worker reads the database: stop the worker and it rests, start it and it goes on where it was; the"
    " database keeps its log meanwhile"
)
Result = TypeVar("Result")


class Operation:
    """Implements `contracts.capture.CaptureOperation` for the native engine."""

    def __init__(self, config: CdcConfig, prefix: str, place: FeedPlace) -> None:
        self._config = config
        self._prefix = prefix
        self._place = place

    def check(self) -> Sequence[Finding]:
        return self._with_source(lambda source: source.check(), is_opened=False)

    def status(self) -> CaptureStatus:
        figures, notes = self._with_source(lambda source: (source.figures(), source.notes()))
        progress = read_progress(self._place, is_final=False) if self._has_topic() else None
        if progress is None:
            return CaptureStatus(phase="not begun", position={}, figures=figures, notes=notes)
        return CaptureStatus(
            phase=progress.phase,
            position=dict(progress.position.after) if progress.position else {},
            tables=progress.tables,
            pending={name: one.rows for name, one in progress.pending.items()},
            figures=figures,
            notes=[*notes, *progress.given_up.values()],
        )

    def _has_topic(self) -> bool:
        admin = self._place.admin()
        try:
            return positions_topic(self._place.name) in admin.topics()
        finally:
            admin.close()

    def ask_for_snapshot(self, tables: Sequence[str], where: str | None) -> Sequence[str]:
        def looked_up(source: ChangeSource) -> tuple[Sequence[SourceTable], list[SourceTable]]:
            captured = source.tables()
            chosen = [table for name in tables for table in self._chosen(name, captured)]
            if where is not None:
                _try_condition(source, chosen or captured, where)
            return captured, chosen

        captured, chosen = self._with_source(looked_up)
        keyless = [str(table.name) for table in chosen if not table.has_key]
        if keyless:
            raise SettingsError(
                f"{', '.join(keyless)} has no key, so its rows cannot be told apart while changes come in; name the columns"
                " of a key in 'keys', or ask for all tables"
            )
        make_topics(self._place)
        names = tuple(dict.fromkeys(str(table.name) for table in chosen))
        producer = self._place.producer(is_transactional=False)
        try:
            request = SnapshotRequest(names, where)
            producer.produce(signals_topic(self._place.name), request.encoded())
            producer.flush(_TIMEOUT_S)
        finally:
            producer.close()
        return names or [str(table.name) for table in captured]

    def _chosen(self, name: str, captured: Sequence[SourceTable]) -> list[SourceTable]:
        wanted = Tables((self._config.full_name(name),))
        found = [table for table in captured if wanted.chosen([table.name])]
        if not found:
            known = ", ".join(str(table.name) for table in captured) or "none"
            raise SettingsError(f"table '{wanted.include[0]}' is not captured; there are {known}")
        return found

    def rest(self, *, is_resting: bool) -> str:  # noqa: ARG002 # neither is possible
        raise SettingsError(WORKER_READS.format(engine="native"))

    def drop(self) -> Sequence[str]:
        return self._with_source(lambda source: source.drop())

    def _with_source(
        self, do: Callable[[ChangeSource], Result], *, is_opened: bool = True
    ) -> Result:
        with Topics(self._place, self._config) as topics:
            source = source_of(topics.source_place(self._prefix))
            try:
                if is_opened:
                    source.open()
                return do(source)
            finally:
                source.close()


def _try_condition(source: ChangeSource, tables: Sequence[SourceTable], where: str) -> None:
    """Ask for nothing that the database refuses at once: here is who can mend it."""
    for table in tables:
        try:
            source.try_condition(table, where)
        except (CaptureError, DatabaseUnavailableError) as error:
            raise SettingsError(
                f"table '{table.name}' cannot be read with this condition: {error}"
            ) from error
