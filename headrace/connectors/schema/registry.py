"""What is asked of a schema registry, through the client of confluent-kafka, and what its refusals mean here.

The client is synchronous: a question holds up the member's thread, for two attempts of `timeout` at most, and is asked once per
schema.
"""

from functools import cached_property, partial
from typing import Any, Final

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.format import FormatOpening
from headrace.runtime.errors import (
    RecordError,
    RestartError,
    RetriableError,
    SettingsError,
    UndecodableError,
)
from headrace.runtime.schema_registry import SchemaRegistrySettings

UNKNOWN_FOR_S: Final = 30.0
"""How long an id that the registry does not know is not asked for again."""
UNKNOWN_MAX: Final = 10_000
REASON_MAX: Final = 500
SHARED: Final = "schema_registry"
EXTRA: Final = "pip install 'headrace[schema]'"


class NotRegisteredError(RecordError):
    """There is no schema to write by."""


def registry_of(opening: FormatOpening, what: str) -> "Registry":
    """The registry of the worker, one per member.

    Raises:
        SettingsError: none is set, or the extra is not installed.
    """
    settings = opening.settings.get("schema_registry")
    if settings is None:
        raise SettingsError(
            f"{what} needs the setting 'schema_registry', such as `schema_registry: {{url: https://registry:8081}}`"
        )
    if SHARED not in opening.shared:
        opening.shared[SHARED] = Registry(settings, opening.clock)
    found = opening.shared[SHARED]
    assert isinstance(found, Registry)
    return found


class Registry:
    """One registry. Every method may wait, and raises a RetriableError when no answer comes."""

    def __init__(self, settings: SchemaRegistrySettings, clock: Clock) -> None:
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ImportError as error:
            raise SettingsError(f"formats of a schema registry need the extra: {EXTRA}") from error
        properties: dict[str, Any] = {
            "url": settings.url,
            "timeout": settings.timeout.total_seconds(),
            "max.retries": 1,
        }
        if settings.user is not None and settings.password is not None:
            properties["basic.auth.user.info"] = (
                f"{settings.user}:{settings.password.get_secret_value()}"
            )
        files = {
            "ssl.ca.location": settings.ca,
            "ssl.certificate.location": settings.certificate,
            "ssl.key.location": settings.key,
        }
        properties |= {name: str(path) for name, path in files.items() if path is not None}
        self.url = settings.url
        self._clock = clock
        self._unknown: dict[int, float] = {}
        self._new_client = partial(SchemaRegistryClient, properties)
        try:
            self._client = SchemaRegistryClient(properties)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"schema_registry: its client cannot be made ({type(error).__name__}); check 'ca', 'certificate' and 'key'"
            ) from error

    @cached_property
    def _descriptors(self) -> Any:
        """A client of its own, as one remembers a schema in the form in which it was fetched first."""
        return self._new_client()

    def close(self) -> None:
        """Close the connections. May be called again."""
        self._client.close()
        if "_descriptors" in self.__dict__:
            self._descriptors.close()

    def by_id(self, id: int, *, is_descriptor: bool = False) -> Any:  # noqa: A002 # the word for it
        """The schema that a record names.

        Raises:
            UndecodableError: there is none of this id.
        """
        if self._unknown.get(id, 0.0) > self._clock.monotonic_s():
            raise self._no_such_id(id)
        client = self._descriptors if is_descriptor else self._client
        try:
            return client.get_schema(id, fmt="serialized" if is_descriptor else None)
        except Exception as error:
            if _status(error) != 404:
                raise self._reaction(error, f"schema {id}") from error
            if len(self._unknown) >= UNKNOWN_MAX:
                self._unknown.clear()
            self._unknown[id] = self._clock.monotonic_s() + UNKNOWN_FOR_S
            raise self._no_such_id(id) from None

    def _no_such_id(self, id: int) -> UndecodableError:  # noqa: A002 # the word for it
        return UndecodableError(
            f"its schema {id} is not in the registry at {self.url}; is that the registry of who writes the topic?"
        )

    def version(
        self, subject: str, number: int | None, *, is_descriptor: bool = False
    ) -> tuple[int, Any]:
        """The id and schema of a version of a subject; the latest where it has no number.

        Raises:
            NotRegisteredError: there is none.
        """
        client = self._descriptors if is_descriptor else self._client
        form = "serialized" if is_descriptor else None
        which = "schema" if number is None else f"version {number}"
        try:
            if number is None:
                found = client.get_latest_version(subject, fmt=form)
            else:
                found = client.get_version(subject, number, fmt=form)
        except Exception as error:
            if _status(error) != 404:
                raise self._reaction(error, f"subject '{subject}'") from error
            raise NotRegisteredError(
                f"subject '{subject}' has no {which} in the registry at {self.url}; register one,"
                " or give `schema` a file or inline text with `auto_register: true`"
            ) from None
        assert found.schema_id is not None
        return found.schema_id, found.schema

    def registered(self, subject: str, schema: Any, *, auto_register: bool) -> int:
        """The id of a schema under a subject, registered first where that is asked for.

        Raises:
            NotRegisteredError: it is not there, or the registry refuses it.
        """
        try:
            if auto_register:
                return self._client.register_schema(subject, schema)
            found = self._client.lookup_schema(subject, schema)
        except Exception as error:
            status = _status(error)
            if status == 409:
                raise NotRegisteredError(
                    f"the schema cannot become a version of subject '{subject}': it is not compatible with the versions there:"
                    f" {_reason(error)}; give new fields a default, or change the subject's compatibility"
                ) from None
            if status == 422:
                raise NotRegisteredError(
                    f"the registry refuses the schema for subject '{subject}': {_reason(error)}"
                ) from None
            if status == 404:
                raise NotRegisteredError(
                    f"this schema is not registered under subject '{subject}' at {self.url};"
                    " register it, set `auto_register: true`, or leave it out to write by the latest version"
                ) from None
            raise self._reaction(error, f"subject '{subject}'") from error
        assert found.schema_id is not None
        return found.schema_id

    def referenced(self, subject: str, version: int, *, is_descriptor: bool = False) -> Any:
        """A schema that another one refers to."""
        return self.version(subject, version, is_descriptor=is_descriptor)[1]

    def _reaction(self, error: Exception, what: str) -> Exception:
        """What an answer that is about no record asks for; what the other side says may hold anything and is left out."""
        status = _status(error)
        if status in (401, 403):
            return SettingsError(
                f"schema_registry: {self.url} refuses to tell {what} (HTTP {status}); check 'user' and 'password', or"
                " 'certificate', of the setting 'schema_registry'"
            )
        if status is None and not _is_transport(error):
            return error
        why = f"HTTP {status}" if status is not None else type(error).__name__
        if status is not None and status < 500 and status not in (408, 429):
            return RestartError(f"the schema registry at {self.url} cannot tell {what} ({why})")
        return RetriableError(f"the schema registry at {self.url} did not tell {what} ({why})")


def _status(error: Exception) -> int | None:
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    return int(error.http_status_code) if isinstance(error, SchemaRegistryError) else None


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_message", "") or "no reason given")[:REASON_MAX]


def _is_transport(error: Exception) -> bool:
    """Whether no answer came, or none that can be read: the client's HTTP library and what is below it."""
    root = type(error).__module__.partition(".")[0]
    return root.startswith(("httpx", "httpcore")) or isinstance(error, OSError | ValueError)
