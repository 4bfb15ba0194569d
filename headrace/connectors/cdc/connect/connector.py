"""One connector in Kafka Connect: what can be done with it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headrace.connectors.cdc.connect.rest import ConnectClient, NotThereError
from headrace.connectors.cdc.connect.standing import (
    ConnectorStatus,
    is_in_snapshot,
    position_of,
    read_status,
)
from headrace.runtime.errors import RetriableError, SettingsError

_OUTAGES = (
    "connection refused",
    "connection to",
    "unable to connect",
    "communications link failure",
    "timed out",
    "starting up",
    "shutting down",
    "unknownhostexception",
    "too many clients",
)
"""Words in the complaint about a field which tell that the database cannot be reached, and nothing about the settings."""
_NOT_OUTAGES = ("fatal: password", "fatal: role", "fatal: database", "access denied")

_LOGINS = ("password authentication failed", "access denied for user", "fatal: role")


@dataclass(frozen=True)
class Connector:
    """A connector by its name. Every call asks Kafka Connect; see `ConnectClient.ask` for what they raise."""

    client: ConnectClient
    name: str

    def register(self, properties: Mapping[str, str]) -> bool:
        """Create it, or give it these properties; returns whether that changed anything.

        (1) Is the connector's class installed? (2) Is this name somebody else's? (3) Are the properties right, as the connector
        itself sees them? (4) Only then are they stored, where they are not already.

        Raises:
            SettingsError: naming each field that is wrong.
            RetriableError: the database cannot be reached, or the cluster is busy.
        """
        wanted = {"name": self.name, **properties}
        self.check_class(wanted["connector.class"])  # (1)
        found = self.config()
        if found == wanted:
            return False
        if found is not None:
            self._check_owner(found, wanted)  # (2)
        self.validate(wanted)  # (3)
        self.client.ask("PUT", "connectors", self.name, "config", body=wanted)  # (4)
        return True

    def config(self) -> dict[str, str] | None:
        """What it was given, secrets included; None when there is no such connector."""
        try:
            found: dict[str, str] = self.client.get("connectors", self.name, "config")
        except NotThereError:
            return None
        return found

    def check_class(self, name: str) -> None:
        """Is the connector's class installed?

        Raises:
            SettingsError: it is not; names those that are.
            RetriableError: nobody answers as Kafka Connect does.
        """
        try:
            plugins = self.client.get("connector-plugins")
        except NotThereError as error:
            # Kafka Connect answers so to everything while it starts.
            raise RetriableError(
                f"{self.client.place} is starting, or is not Kafka Connect (see connect.url): {error}"
            ) from error
        classes = [str(plugin.get("class")) for plugin in plugins or []]
        short = {one.rpartition(".")[2].removesuffix("Connector") for one in classes}
        if name in classes or name.removesuffix("Connector") in short:
            return
        there = (
            ", ".join(sorted(one for one in classes if "debezium" in one)) or "none of Debezium's"
        )
        raise SettingsError(
            f"Kafka Connect at {self.client.place} does not have the connector {name}; it has {there}."
            " Install Debezium's connector in its plugin.path, on every worker"
        )

    def _check_owner(self, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        for key in ("connector.class", "topic.prefix"):
            if found.get(key) != wanted.get(key):
                raise SettingsError(
                    f"the connector '{self.name}' is there already, with the {key} '{found.get(key)}', and this stage's is"
                    f" '{wanted.get(key)}'; give the stage another connect.name, or remove that connector"
                )

    def validate(self, properties: Mapping[str, str]) -> None:
        """Have the connector look at its properties, which includes a connection to the database.

        Raises:
            SettingsError: naming each field that is wrong.
            RetriableError: nothing is wrong but that the database cannot be reached.
        """
        problems = self.problems(properties)
        if not problems:
            return
        text = "; ".join(f"{name}: {problem}" for name, problem in problems)
        if all(_is_outage(problem) for _, problem in problems):
            raise RetriableError(f"the database does not answer Kafka Connect: {text}")
        raise SettingsError(f"the connector '{self.name}' refuses its properties: {text}")

    def problems(self, properties: Mapping[str, str]) -> list[tuple[str, str]]:
        """What the connector finds wrong with its properties: the field, and why."""
        answer = self.client.ask(
            "PUT",
            "connector-plugins",
            properties["connector.class"],
            "config",
            "validate",
            body=dict(properties),
        )
        values: Sequence[Mapping[str, Any]] = [
            one.get("value") or {} for one in answer.get("configs") or []
        ]
        return [
            (_field(str(value.get("name")), str(error)), self.client.redaction(_line(error)))
            for value in values
            for error in value.get("errors") or []
        ]

    def status(self) -> ConnectorStatus:
        """How it is; its `cause` holds no secret.

        Raises:
            NotThereError: it was removed, or is so new that nothing is known of it.
        """
        found = read_status(self.client.get("connectors", self.name, "status"))
        return ConnectorStatus(**{**vars(found), "cause": self.client.redaction(found.cause)})

    def is_in_snapshot(self) -> bool | None:
        """Whether it is reading the rows that are there; None when that is not known (Connect before 3.5, no position yet)."""
        try:
            return is_in_snapshot(self.client.get("connectors", self.name, "offsets"))
        except (NotThereError, SettingsError):
            return None

    def position(self) -> Mapping[str, Any]:
        """How far it is, as Kafka Connect has stored it; empty when that is not known."""
        try:
            return position_of(self.client.get("connectors", self.name, "offsets"))
        except (NotThereError, SettingsError):
            return {}

    def forget_position(self) -> None:
        """Have it begin anew the next time. It must be stopped. Does nothing where Kafka Connect cannot (before 3.6)."""
        with suppress(NotThereError):
            self.client.ask("DELETE", "connectors", self.name, "offsets")

    def pause(self) -> None:
        """Let it rest, with its tasks and connections kept. Idempotent."""
        self.client.ask("PUT", "connectors", self.name, "pause")

    def resume(self) -> None:
        """Go on after `pause` or `stop`. Idempotent."""
        self.client.ask("PUT", "connectors", self.name, "resume")

    def stop(self) -> None:
        """Let it rest and end its tasks, so that the database is let go of. Idempotent."""
        self.client.ask("PUT", "connectors", self.name, "stop")

    def restart_failed(self) -> None:
        """Start again what failed of it, and nothing else."""
        self.client.ask(
            "POST",
            "connectors",
            self.name,
            "restart",
            query="?includeTasks=true&onlyFailed=true",
        )

    def remove(self) -> bool:
        """Remove it; returns whether it was there.

        Its position stays in Kafka Connect, and its slot in PostgreSQL, which keeps the log for it: drop the slot too.
        """
        try:
            self.client.ask("DELETE", "connectors", self.name)
        except NotThereError:
            return False
        return True


def _line(error: object) -> str:
    return " ".join(str(error).split())


def _field(name: str, problem: str) -> str:
    """The field that must be mended: Debezium blames the host for all that goes wrong between it and the database."""
    is_login = name == "database.hostname" and any(one in problem.lower() for one in _LOGINS)
    return "database.user, database.password" if is_login else name


def _is_outage(problem: str) -> bool:
    text = problem.lower()
    return any(words in text for words in _OUTAGES) and not any(
        words in text for words in _NOT_OUTAGES
    )
