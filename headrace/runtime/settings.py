"""The settings of a worker, and where they come from: arguments, environment, configuration file, defaults, in this order."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from headrace.runtime.address import parse_address
from headrace.runtime.duration import Duration
from headrace.runtime.environment import (
    Values,
    config_path,
    settings_of_environment,
    state_home,
    variable_of,
)
from headrace.runtime.errors import FlowError, SettingsError
from headrace.runtime.flow import describe_validation
from headrace.runtime.flow.places import Places
from headrace.runtime.flow.reading import format_of, read_bytes, read_documents
from headrace.runtime.flow.suggestion import found
from headrace.runtime.limit import LimitText
from headrace.runtime.schema_registry import SchemaRegistrySettings

VALUE = re.compile(r"\$\{(env|secret)\.([A-Za-z_][A-Za-z0-9_-]*)\}")


class WorkerSettings(BaseModel):
    """How a worker runs its flows. Frozen."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )

    brokers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    """Kafka's bootstrap servers, `host:port` with commas between."""
    client: dict[str, str] = Field(default_factory=dict, repr=False)
    """Settings passed through to the Kafka client (TLS, SASL, ...), by librdkafka's names; `consumer.` or `producer.` in
    front of a name directs it to one of the two. Names that the engine decides are refused."""
    engine: Literal["kafka", "memory"] = "kafka"
    """Where the topics are: a Kafka cluster, or this process's memory (tests, dry runs)."""
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,60}$")] = "headrace"
    """What the names of groups, transactional ids and internal topics begin with."""
    processing: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """`at_least_once` leaves out transactions: lower latency, and results may double after a crash."""
    commit_interval: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=1))] = (
        timedelta(milliseconds=100)
    )
    """The longest time between two commits while records flow; longer is faster, shorter has less latency."""
    create_topics: bool = False
    """Create the topics that flows read and write when they do not exist; otherwise they are an error."""
    instance_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$")] | None = None
    """Static membership: a name of this worker that stays over restarts, so that a restart within `session_timeout` moves no
    partition. No two workers may have the same."""
    state_dir: Path = Field(default_factory=state_home)
    """The folder of this machine in which workers keep what may outlive them."""
    stop_timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(hours=1))] = timedelta(
        seconds=30
    )
    """How long a stop may take to drain, commit and leave the group."""
    session_timeout: Annotated[
        Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=30))
    ] = timedelta(seconds=30)
    """How long the group waits for a silent worker before its partitions go to others. With Kafka's next-generation
    protocol the broker decides in its place."""
    store: str = "rocksdb"
    """Where tasks keep their state: `rocksdb`, on disk, below `state_dir`; or `memory`, restored from the changelogs at every
    start. The memory engine always keeps it in memory."""
    store_cache_mb: Annotated[int, Field(ge=8, le=1_048_576)] = 64
    """What the store of one group keeps of its files in memory, in MiB. More helps when the keys in use do not fit."""
    standby: Annotated[int, Field(ge=0, le=10)] = 0
    """How many other workers keep an up-to-date copy of each task's state, to take over without restoring it."""
    dead_letter_limit: LimitText | None = None
    """How many dead letters a flow may write in so much time, in each worker process, such as `100/1m`. One more stops the
    worker with exit code 6, and says which stage failed and why. Off by default."""
    idle_after: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(hours=24))] = timedelta(
        seconds=10
    )
    """How long a partition that was read to its end may be silent before it holds up event time no more."""
    group_protocol: Literal["auto", "classic", "consumer"] = "auto"
    """Kafka's group protocol; `auto` takes the next generation (`consumer`, KIP-848) when the broker has it."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Partitions of a topic that `create_topics` creates, where no topic that the flow reads tells."""
    schema_registry: SchemaRegistrySettings | None = None
    """Where schemas of Avro, Protobuf and JSON Schema are registered: a mapping with `url`, and where needed `user`, `password`,
    `ca`, `certificate`, `key` and `timeout`; see docs/formats.md. Needs `pip install 'headrace[schema]'`."""
    http_token: Annotated[SecretStr, Field(min_length=16)] | None = None
    """What whoever asks over HTTP must show, as `Authorization: Bearer <token>`; needed unless `http` is a loopback address. All
    workers of a group need the same. In the configuration file write `${secret.NAME}`; it is never told."""
    http_advertise: str | None = None
    """What other workers and `headrace state` call to reach `http`: a host, or `host:port`. By default it is the address of
    `http`, or where that is all addresses, the machine's name."""
    http: str | None = None
    """Where the worker answers questions about its state and its health, as `host:port`; port 0 is any that is free. Off by
    default. Of `--processes N` each takes the next port. Needs `pip install 'headrace[http]'`."""

    @field_validator("http", "http_advertise")
    @classmethod
    def _check_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.field_name == "http_advertise":
            parse_address(value if ":" in value.rpartition("]")[2] else f"{value}:0")
        elif not parse_address(value).is_loopback and info.data.get("http_token", "") is None:
            raise ValueError(
                "others than this machine reach it, so it needs a token: set HEADRACE_HTTP_TOKEN, or listen on 127.0.0.1"
            )
        return value


def load_settings(given: Mapping[str, Any], config: Path | None = None) -> WorkerSettings:
    """Settings from the given values, then the environment, then the configuration file.

    Raises:
        SettingsError: naming the setting and where it came from.
    """
    path = config or config_path()
    of_file, places = _read_config(path) if path else ({}, Places())
    of_environment = settings_of_environment()
    chosen = {name: value for name, value in given.items() if value is not None}
    client = {
        **_client(str(path), of_file.pop("client", None)),
        **_client("environment", of_environment.pop("client", None)),
        **_client("given", chosen.pop("client", None)),
    }
    merged = {**of_file, **of_environment, **chosen, **({"client": client} if client else {})}
    merged |= _schema_registry(of_file, of_environment, chosen)
    if isinstance(merged.get("http_token"), str):
        merged["http_token"] = _resolved(merged["http_token"], "http_token")
    try:
        return WorkerSettings.model_validate(merged)
    except ValidationError as error:
        lines = []
        for where, text in describe_validation(error, WorkerSettings, merged):
            name = str(where[0]) if where else ""
            if name in chosen:
                source = "given"
            elif name in of_environment:
                source = variable_of(name)
            else:
                source = places.place(name) or "settings"
            lines.append(f"{source}: {text}")
        raise SettingsError("\n".join(lines)) from None


def _schema_registry(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """The setting of this name, put together of several sources, the last of which win; with its secrets in clear."""
    given = [source["schema_registry"] for source in sources if "schema_registry" in source]
    if not given or not all(isinstance(one, Mapping) for one in given):
        return {}
    merged = {name: value for one in given for name, value in one.items()}
    return {
        "schema_registry": {
            name: _resolved(value, f"schema_registry.{name}") if isinstance(value, str) else value
            for name, value in merged.items()
        }
    }


def _read_config(path: Path) -> tuple[dict[str, Any], Places]:
    syntax = format_of(path)
    if syntax is None:
        raise SettingsError(f"the configuration file {path} must end in .yaml, .yml or .json")
    try:
        documents = read_documents(read_bytes(path), str(path), syntax)
    except FlowError as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise SettingsError(
            f"the configuration file {path} cannot be read: {(error.strerror or 'unknown').lower()}"
        ) from error
    mistakes = [f"{path}:{m.line}: {m.text}" for document in documents for m in document.mistakes]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    if not documents:
        return {}, Places()
    data = {} if documents[0].data is None else documents[0].data
    if not isinstance(data, dict) or len(documents) > 1:
        raise SettingsError(f"{path} must be one mapping of settings, such as `brokers: host:9092`")
    return {str(name): value for name, value in data.items()}, documents[0].places


def _client(source: str, client: object) -> dict[str, str]:
    """Client settings as text, with `${env.NAME}` and `${secret.NAME}` replaced. What they hold is never told."""
    if client is None:
        return {}
    if not isinstance(client, Mapping):
        raise SettingsError(
            f"{source}: 'client' must be a mapping of client settings, such as `security.protocol: ssl`"
        )
    return {
        str(name): _resolved(value, f"{source}: client.{name}") for name, value in client.items()
    }


def _resolved(value: object, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise SettingsError(
            f"{where}: must be text, a number, or true or false, found {found(value)}"
        )
    values = Values()
    try:
        return VALUE.sub(
            lambda name: values.env(name[2]) if name[1] == "env" else values.secret(name[2]),
            str(value),
        )
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
