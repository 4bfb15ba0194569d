"""Registers the connector of a stage and watches it, on one worker of the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connect.connector import Connector
from headrace.connectors.cdc.connect.operation import ConnectOperation
from headrace.connectors.cdc.connect.rest import ConnectClient, NotThereError
from headrace.connectors.cdc.connect.standing import ConnectorStatus
from headrace.connectors.cdc.debezium.properties import connector_properties
from headrace.connectors.cdc.debezium.redaction import Redaction, secrets_of
from headrace.connectors.cdc.debezium.settings import address_of, templates_of
from headrace.connectors.cdc.debezium.topics import feed_topics, has_schema_history, topic_settings
from headrace.runtime.contracts.feed import Exclusive, FeedPlace, FeedState, FeedStatus, FeedTopic
from headrace.runtime.errors import RetriableError
from headrace.runtime.expression import Template

WATCH_S = 5.0
RESTART_PAUSE_S = 1.0
RESTART_PAUSE_MAX_S = 60.0
HEALTHY_S = 120.0
"""After so long without a failure the next one is met with the shortest pause again."""
_JSON = "org.apache.kafka.connect.json.JsonConverter"


class ConnectFeed(Exclusive):
    """A Debezium connector in Kafka Connect. Registered and watched from here; the records never pass through headrace.

    When the feed ends, the connector goes on: another worker may watch it, or none for a while.
    """

    def __init__(self, config: CdcConfig, prefix: str, *, watch_s: float = WATCH_S) -> None:
        self.config = config
        self.prefix = prefix
        self.watch_s = watch_s

    def topics(self) -> Sequence[FeedTopic]:
        return feed_topics(self.config, self.prefix)

    def settings(self) -> Mapping[str, Template]:
        return templates_of(self.config)

    def run(self, place: FeedPlace) -> None:
        connector = self.connector(place.name, place.settings)
        Watch(connector, self.properties(place), place, self.watch_s).run()

    def connector(self, place_name: str, settings: Mapping[str, object]) -> Connector:
        """The stage's connector, to pause, resume or remove it. Nothing is asked yet."""
        options = self.config.connect
        assert options is not None, "the trigger's config is checked before it has a feed"
        address = address_of(settings)
        password = address.password if address is not None else None
        secrets = secrets_of(self.settings(), settings, password or "")
        client = ConnectClient(
            url=str(settings.get("connect.url", "")),
            user=str(settings.get("connect.user", "")),
            password=str(settings.get("connect.password", "")),
            redaction=Redaction(secrets),
        )
        return Connector(client, options.name or place_name)

    def operation(self, place: FeedPlace) -> ConnectOperation:
        """What the command line does with this feed."""
        connector = self.connector(place.name, place.settings)
        return ConnectOperation(
            self.config, self.prefix, place, connector, partial(self.properties, place)
        )

    def properties(self, place: FeedPlace) -> dict[str, str]:
        """The connector's own, and how Kafka Connect writes its records."""
        properties = {
            "tasks.max": "1",
            "key.converter": _JSON,
            "key.converter.schemas.enable": "false",
            "value.converter": _JSON,
            "value.converter.schemas.enable": "false",
            "errors.max.retries": "0",
            **topic_settings(self.config),
        }
        own = connector_properties(self.config, self.prefix, place.name, place.settings)
        history = "schema.history.internal.kafka.bootstrap.servers"
        if has_schema_history(self.config) and history not in own:
            admin = place.admin()
            try:
                properties[history] = ",".join(admin.cluster().nodes)
            finally:
                admin.close()
            properties["schema.history.internal.kafka.topic"] = f"{self.prefix}.schema-history"
        return {**properties, **own}


@dataclass
class Watch:
    """The life of a registered connector as one worker sees it: register, look at it every few seconds, start again what failed.

    A connector that somebody removed is registered again; one that somebody paused is left paused.
    """

    connector: Connector
    properties: Mapping[str, str]
    place: FeedPlace
    watch_s: float
    _restarts: int = 0
    _pause_s: float = RESTART_PAUSE_S
    _failed_at_s: float = field(default=float("-inf"))
    _restart_at_s: float | None = None

    def run(self) -> None:
        """Return when the place is stopped.

        Raises:
            SettingsError: the connector refuses its properties, or Kafka Connect refuses this user.
        """
        place = self.place
        is_registered = False
        pause_s = RESTART_PAUSE_S
        self._report("starting", f"registering the connector '{self.connector.name}'")
        while not place.stopped.is_set():
            try:
                if not is_registered:
                    self.connector.register(self.properties)
                    is_registered = True
                is_registered = self._look()
                pause_s = RESTART_PAUSE_S
                wait_s = self.watch_s if is_registered else min(self.watch_s, RESTART_PAUSE_S)
            except (RetriableError, NotThereError) as error:
                self._report("retrying", str(error))
                # A look costs nothing, and until then nobody is told that it is well again.
                wait_s, pause_s = pause_s, min(pause_s * 2, max(2 * self.watch_s, RESTART_PAUSE_S))
            place.stopped.wait(wait_s)

    def _look(self) -> bool:
        """Ask how it is, start again what failed when its pause is over, and report; False where it was removed."""
        try:
            status = self.connector.status()
        except NotThereError:
            # Of one that was just created nothing is known yet.
            return self.connector.config() is not None
        if status.standing == "failed":
            self._restart(status)
            return True
        if self._clock_s() - self._failed_at_s > HEALTHY_S:
            self._pause_s = RESTART_PAUSE_S
        self._restart_at_s = None
        name = self.connector.name
        if status.standing == "paused":
            self._report(
                "paused",
                f"the connector '{name}' is {status.state.lower()} in Kafka Connect",
                status,
            )
        elif status.standing == "starting":
            self._report(
                "starting",
                f"the connector '{name}' has {status.tasks_running} of {status.tasks} tasks running",
                status,
            )
        else:
            is_in_snapshot = self.connector.is_in_snapshot()
            self._report("snapshot" if is_in_snapshot else "running", "", status)
        return True

    def _restart(self, status: ConnectorStatus) -> None:
        now_s = self._clock_s()
        self._failed_at_s = now_s
        if self._restart_at_s is None:
            self._restart_at_s = now_s + self._pause_s
            self._pause_s = min(self._pause_s * 2, RESTART_PAUSE_MAX_S)
        elif now_s >= self._restart_at_s:
            self._restart_at_s = None
            self._restarts += 1
            self.connector.restart_failed()
        self._report(
            "retrying",
            f"the connector '{self.connector.name}' failed: {status.cause or 'it does not say why'}",
            status,
        )

    def _clock_s(self) -> float:
        return self.place.clock.monotonic_s()

    def _report(self, state: FeedState, text: str, status: ConnectorStatus | None = None) -> None:
        figures = {"connector_restarts": float(self._restarts)}
        if status is not None:
            figures["connector_tasks"] = float(status.tasks)
            figures["connector_tasks_running"] = float(status.tasks_running)
            figures["connector_tasks_failed"] = float(status.tasks_failed)
        self.place.report(FeedStatus(state=state, text=text, figures=figures))
