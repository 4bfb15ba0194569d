"""A capture of the embedded engine seen from the command line (`headrace cdc`)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connection_settings import address
from headrace.connectors.cdc.debezium.database import Borrowed, borrowed
from headrace.connectors.cdc.debezium.delivery import history_topic, is_within_snapshot
from headrace.connectors.cdc.debezium.frames import Offsets, again_of
from headrace.connectors.cdc.debezium.needs import findings
from headrace.connectors.cdc.debezium.redaction import Redaction
from headrace.connectors.cdc.debezium.topics import feed_topics
from headrace.connectors.cdc.operation import WORKER_READS
from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.publication import Publication
from headrace.connectors.cdc.postgres.slot import Slot
from headrace.connectors.cdc.progress import KEY, Progress, positions_topic, read_progress
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.capture import CaptureStatus, Finding
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import HeadraceError, RetriableError, SettingsError

FREE_S: Final = 3.0
"""How long a slot may still look taken by an engine that was killed a moment ago."""
_TIMEOUT_S = 30.0
_LOOK_S = 0.1


class DebeziumOperation:
    """Implements `contracts.capture.CaptureOperation` for the embedded engine. Needs no Java."""

    def __init__(
        self, config: CdcConfig, prefix: str, place: FeedPlace, redaction: Redaction
    ) -> None:
        self._config = config
        self._prefix = prefix
        self._place = place
        self._redaction = redaction

    def check(self) -> Sequence[Finding]:
        return list(findings(self._config, self._prefix, self._place))

    def status(self) -> CaptureStatus:
        """The stored position, also where the database does not answer: then a note says so."""
        progress = self._progress(is_final=False)
        figures: Mapping[str, float] = {}
        notes: Sequence[str] = ()
        try:
            figures, notes = self._slot_now(has_begun=progress is not None)
        except HeadraceError as error:
            notes = [self._redaction(str(error))]
        if progress is None:
            return CaptureStatus(phase="not begun", position={}, figures=figures, notes=notes)
        identity = progress.identity
        if identity.get("engine") != "debezium" or progress.position is None:
            return CaptureStatus(
                phase=progress.phase,
                position=progress.position.after if progress.position else {},
                figures=figures,
                notes=[
                    *notes,
                    f"the stored position is not of engine debezium, but of {dict(identity)}",
                ],
            )
        after = progress.position.after
        return CaptureStatus(
            phase="snapshot" if is_within_snapshot(after["offsets"]) else "streaming",
            position=_position(after),
            tables=[self._config.full_name(name) for name in self._config.tables],
            figures=figures,
            notes=notes,
        )

    def _slot_now(self, *, has_begun: bool) -> tuple[Mapping[str, float], Sequence[str]]:
        with self._postgres() as found:
            if found is None:
                return {}, ()
            sql, stage = found
            row = Slot(sql, stage.slot).read()
        if row is None:
            return {}, [f"replication slot '{stage.slot}' does not exist"] if has_begun else ()
        figures = {"lag_bytes": row.lag_bytes or 0, "log_bytes": row.log_bytes or 0}
        return figures, [f"replication slot '{stage.slot}' is lost"] if row.is_lost else ()

    def ask_for_snapshot(
        self,
        tables: Sequence[str],  # noqa: ARG002 # the contract's
        where: str | None,  # noqa: ARG002 # the contract's
    ) -> Sequence[str]:
        raise SettingsError(
            "engine debezium reads rows again when the connector is told so by a signal of Debezium's (signal.data.collection in"
            " 'properties'); headrace sends none. To begin anew with all rows, stop the worker, run `headrace cdc drop-slot`, and"
            " start it"
        )

    def rest(self, *, is_resting: bool) -> str:  # noqa: ARG002 # neither is possible
        raise SettingsError(WORKER_READS.format(engine="debezium"))

    def drop(self) -> Sequence[str]:
        """Remove what the engine has made in the database, and the stored position, so that the next start begins anew.

        (1) Refuse while a worker has it. (2) Fence whoever begins meanwhile: it cannot store a position any more. (3) Remove slot
        and publication. (4) Forget the position. (5) Forget the history of the schema, which belongs to it. Where this is
        interrupted, it can be asked for again: a position without its slot is a failure that names this command.

        Raises:
            RetriableError: a worker has it, or the slot is being read.
        """
        with self._postgres() as found:
            self._check_free(found)  # (1)
            producer = self._place.producer()
            try:
                producer.init_transactions(_TIMEOUT_S)  # (2)
                removed = [] if found is None else _removed(*found)  # (3)
                if self._progress(is_final=True) is not None:
                    producer.begin_transaction()
                    producer.produce(positions_topic(self._place.name), None, KEY)
                    producer.commit_transaction(_TIMEOUT_S)  # (4)
                    removed.append("the stored position")
            finally:
                producer.close()
        self._forget_history()  # (5)
        return removed

    def _check_free(self, found: tuple[Sql, Borrowed] | None) -> None:
        place = self._place
        owner = TopicPartition(feed_topics(self._config, self._prefix)[0].name, 0)
        admin = place.admin()
        try:
            members = admin.group_members(place.group or place.name.rpartition(".")[0])
        finally:
            admin.close()
        for member in members:
            if owner in member.assignment:
                raise RetriableError(
                    f"flow '{place.flow}': a worker has stage '{place.stage}' (client '{member.client_id}'); stop it first (one"
                    " that was killed is noticed when its session_timeout is over)"
                )
        if found is None:
            return
        slot = Slot(found[0], found[1].slot)
        until_s = place.clock.monotonic_s() + FREE_S
        while (row := slot.read()) is not None and row.process is not None:
            if place.clock.monotonic_s() > until_s:
                raise RetriableError(
                    f"replication slot '{slot.name}' is being read by process {row.process} of the database: stop the worker"
                    " first"
                )
            place.clock.sleep(_LOOK_S)

    @contextmanager
    def _postgres(self) -> "Iterator[tuple[Sql, Borrowed] | None]":
        """A connection to PostgreSQL; None where the database is another one."""
        found = borrowed(self._config, self._prefix, self._place)
        if found is None or found.config.kind != "postgresql":
            yield None
            return
        sql = Sql(address(found.place.settings), "headrace_cdc")
        try:
            yield sql, found
        finally:
            sql.close()

    def _progress(self, *, is_final: bool) -> Progress | None:
        return (
            read_progress(self._place, is_final=is_final)
            if self._has_topic(positions_topic(self._place.name))
            else None
        )

    def _has_topic(self, name: str) -> bool:
        admin = self._place.admin()
        try:
            return name in admin.topics()
        finally:
            admin.close()

    def _forget_history(self) -> None:
        history = TopicPartition(history_topic(self._place.name), 0)
        admin = self._place.admin()
        try:
            if history.topic in admin.topics():
                admin.delete_records(admin.ends([history]))
        finally:
            admin.close()


def _removed(sql: Sql, stage: Borrowed) -> list[str]:
    removed = []
    if Slot(sql, stage.slot).drop():
        removed.append(f"replication slot '{stage.slot}'")
    if Publication(sql, stage.publication, stage.config).drop():
        removed.append(f"publication '{stage.publication}'")
    return removed


def _position(after: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the engine calls its offset; one for each partition of the source, by its names, where there are several."""
    offsets: Offsets = after["offsets"]
    found = {
        ", ".join(f"{name} {value}" for name, value in orjson.loads(key)[1].items()): orjson.loads(
            offset
        )
        for key, offset in offsets
    }
    if len(found) != 1:
        return found
    position = dict(next(iter(found.values())) or {})
    if (again := again_of(after.get("again"))) is not None:
        position["records_delivered_behind"] = again.records
    return position
