"""A connector seen from the command line (`headrace cdc`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connect.connector import Connector
from headrace.connectors.cdc.connect.rest import NotThereError
from headrace.connectors.cdc.debezium.database import borrowed
from headrace.connectors.cdc.debezium.properties import kind_of_class
from headrace.connectors.cdc.operation import Operation
from headrace.runtime.contracts.capture import CaptureStatus, Finding
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import HeadraceError, RetriableError, SettingsError

END_S: Final = 60.0
_LOOK_S = 0.2


class ConnectOperation:
    """Implements `contracts.capture.CaptureOperation` for a connector in Kafka Connect."""

    def __init__(
        self,
        config: CdcConfig,
        prefix: str,
        place: FeedPlace,
        connector: Connector,
        properties: Callable[[], Mapping[str, str]],
    ) -> None:
        self._config = config
        self._prefix = prefix
        self._place = place
        self._connector = connector
        self._properties = properties

    def check(self) -> Sequence[Finding]:
        """Kafka Connect, the connector's class, and what the connector itself says of its properties."""
        name, where = self._connector.name, self._connector.client.place
        wanted = {"name": name, **self._properties()}
        try:
            self._connector.check_class(wanted["connector.class"])
        except HeadraceError as error:
            return [Finding(level="error", subject="Kafka Connect", text=str(error))]
        found = [
            Finding(
                level="ok",
                subject="Kafka Connect",
                text=f"{where} has the connector {wanted['connector.class']}",
            )
        ]
        problems = self._connector.problems(wanted)
        found += [Finding(level="error", subject=field, text=text) for field, text in problems]
        if not problems:
            text = "the connector accepts its properties, and reaches the database with them"
            found.append(Finding(level="ok", subject="properties", text=text))
        return found

    def status(self) -> CaptureStatus:
        connector = self._connector
        try:
            # Of one that was removed there still is a status for a while.
            status = connector.status() if connector.config() is not None else None
        except NotThereError:
            status = None
        if status is None:
            return CaptureStatus(phase="not begun", position={})
        phase: str = status.standing
        if phase == "running":
            phase = "snapshot" if connector.is_in_snapshot() else "streaming"
        return CaptureStatus(
            phase=phase,
            position=connector.position(),
            tables=self._config.tables,
            figures={
                "connector_tasks": float(status.tasks),
                "connector_tasks_running": float(status.tasks_running),
                "connector_tasks_failed": float(status.tasks_failed),
            },
            notes=(
                f"connector '{connector.name}' in Kafka Connect at {connector.client.place}",
                *((status.cause,) if status.cause else ()),
            ),
        )

    def ask_for_snapshot(
        self,
        tables: Sequence[str],  # noqa: ARG002 # the contract's
        where: str | None,  # noqa: ARG002 # the contract's
    ) -> Sequence[str]:
        raise SettingsError(
            "engine connect reads rows again when the connector is told so by a signal of Debezium's"
            " (signal.data.collection or signal.kafka.topic in 'properties'); headrace sends none"
        )

    def rest(self, *, is_resting: bool) -> str:
        name = f"connector '{self._connector.name}'"
        if self._connector.config() is None:
            raise SettingsError(
                f"there is no {name} in {self._connector.client.place}; the worker registers it"
            )
        if is_resting:
            self._connector.pause()
        else:
            self._connector.resume()
        return name

    def drop(self) -> Sequence[str]:
        """Remove the connector, its position, and what it has made in the database, in this order.

        (1) Stop it, so that it lets go of the database. (2) Forget its position: a connector of this name would go on from a
        slot that is no more. (3) Remove it. (4) Remove its slot and publication.
        """
        removed = []
        connector = self._connector
        if connector.config() is not None:
            connector.stop()  # (1)
            self._wait_until_stopped()
            connector.forget_position()  # (2)
            connector.remove()  # (3)
            removed.append(f"connector '{connector.name}'")
        if kind_of_class(self._config) == "postgresql":
            found = borrowed(self._config, self._prefix, self._place)
            assert found is not None
            removed += Operation(found.config, self._prefix, found.place).drop()  # (4)
        return removed

    def _wait_until_stopped(self) -> None:
        clock = self._place.clock
        until_s = clock.monotonic_s() + END_S
        while (status := self._connector.status()).tasks or status.state != "STOPPED":
            if clock.monotonic_s() > until_s:
                raise RetriableError(
                    f"the connector '{self._connector.name}' does not stop within {END_S:g} s; ask again"
                )
            clock.sleep(_LOOK_S)
