"""How values of records are read and written: the names in `format`, and what stands behind each.

`json`, `text` and `bytes` are written into the generated code. Every other format is a class that is found by its name through
the entry-point group `headrace.formats`; those of headrace itself are found the same way. In a document a format is its name,
or a mapping with the name as `type` and the format's options beside it. In the engine it is text, so that it can be compared
and be a key: the name, and where there are options, a space and the options as JSON.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema

from headrace.runtime.clock import Clock
from headrace.runtime.errors import SettingsError
from headrace.runtime.flow import describe_validation, did_you_mean
from headrace.runtime.installed import installed, load

GROUP: Final = "headrace.formats"
INLINED: Final = ("json", "text", "bytes")
SKIPPED: Final = object()
"""What a decoder returns for a record that is no event, such as a heartbeat: it starts no run and changes no row."""

Decoder = Callable[[bytes], Any]
Encoder = Callable[[Any, str], bytes | None]


class FormatOptions(BaseModel):
    """What stands beside `type`; unknown keys are errors with a suggestion."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Shared(Protocol):
    """Something that formats of one member share, such as a connection and what it has fetched."""

    def close(self) -> None:
        """The member ends. May be called again."""


@dataclass(frozen=True)
class FormatOpening:
    """What a format works with. `settings` are the worker's, by name, with secrets in clear: never to be told."""

    settings: Mapping[str, Any]
    clock: Clock
    shared: dict[str, "Shared"]
    """Where formats of one member keep what they share."""


class ValueFormat(ABC):
    """A format with its options. Made when a flow is checked; immutable; holds no connection; its module imports no extra."""

    Options: ClassVar[type[FormatOptions]] = FormatOptions
    reads: ClassVar[bool] = True
    writes: ClassVar[bool] = True
    skips: ClassVar[bool] = False
    """Whether a decoder may return `SKIPPED`."""
    tombstones: ClassVar[Literal["pass", "skip"]] = "pass"
    """What a trigger does with records without a value unless its config says so."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def decoder(self, opening: FormatOpening) -> Decoder:  # noqa: ARG002 # for those that read
        """A function from the bytes of a trigger's record to its event, called once per record on the member's thread.

        It raises an UndecodableError, whose message holds no payload, or a RetriableError where the record is not at fault.

        Raises:
            SettingsError: an extra or a setting is missing.
        """
        raise AssertionError(f"{type(self).__name__} does not read")

    def row_decoder(self, opening: FormatOpening) -> Decoder:
        """Likewise from the bytes of a table's record to the row of its key; None deletes the row."""
        return self.decoder(opening)

    def encoder(self, opening: FormatOpening, topic: str | None) -> Encoder:  # noqa: ARG002 # for those that write
        """A function from an event and the name of a topic to the bytes that are written; None is a tombstone.

        `topic` is the one that it will be called with, where that is known before there are records.

        It raises a RecordError for an event that does not fit.

        Raises:
            SettingsError: as above.
        """
        raise AssertionError(f"{type(self).__name__} does not write")

    @abstractmethod
    def summary(self) -> str:
        """What it is called in messages, such as `Avro`."""


@dataclass(frozen=True)
class FormatUse:
    """A function that generated code needs of a format: for a trigger's events, for rows of a table, or to write."""

    format: str
    way: Literal["event", "row", "write"]
    topic: str | None = None


def format_name(format: str) -> str:  # noqa: A002 # the word for it
    """The name of a format without its options."""
    return format.partition(" ")[0]


def installed_formats() -> dict[str, EntryPoint]:
    """Every installed format by name, besides those that are inlined; none is imported."""
    return installed(GROUP)


@cache
def load_format(format: str) -> ValueFormat:  # noqa: A002 # the word for it
    """The format of this text, with its options; not of one that is inlined.

    Raises:
        ValueError: there is no such format, or its options are wrong.
    """
    name, _, options = format.partition(" ")
    kind = _load_kind(name)
    data = orjson.loads(options) if options else {}
    try:
        return kind(kind.Options.model_validate(data))
    except ValidationError as error:
        found = describe_validation(error, kind.Options, data)
        raise ValueError("; ".join(finding.text for finding in found)) from None


@cache
def _load_kind(name: str) -> type[ValueFormat]:
    known = installed_formats()
    if name not in known:
        names = (*INLINED, *sorted(known))
        raise ValueError(f"there is no format '{name}'{did_you_mean(name, names) or _of(names)}")
    try:
        return load(known[name], ValueFormat)  # type: ignore[type-abstract] # a base class is what is asked for
    except (
        SettingsError
    ) as error:  # a mistake in a document, of which pydantic knows only ValueError
        raise ValueError(str(error)) from error


def _of(names: tuple[str, ...]) -> str:
    return f"; there are {', '.join(names)}"


def format_with(format: str, **options: Any) -> str:  # noqa: A002 # the word for it
    """A format with further options.

    Raises:
        ValueError: it has no such options, or has them already.
    """
    name, _, given = format.partition(" ")
    known = orjson.loads(given) if given else {}
    if twice := known.keys() & options:
        raise ValueError(f"'{min(twice)}' is given twice, in `format` and beside it; keep one")
    return _checked(name, {**known, **options})


def _checked(name: str, options: Mapping[str, Any]) -> str:
    if name in INLINED:
        if options:
            raise ValueError(f"format {name} has no '{next(iter(options))}'")
        return name
    text = orjson.dumps(options, option=orjson.OPT_SORT_KEYS).decode() if options else ""
    canonical = f"{name} {text}".rstrip()
    load_format(canonical)
    return canonical


def _parse(value: object) -> str:
    if isinstance(value, str):
        name, _, text = value.partition(" ")
        return _checked(name, orjson.loads(text) if text.startswith("{") else {})
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return _checked(value["type"], {k: v for k, v in value.items() if k != "type"})
    raise ValueError("must be the name of a format, or a mapping with the name as `type`")


def _readable(format: str) -> str:  # noqa: A002 # the word for it
    if format not in INLINED and not load_format(format).reads:
        raise ValueError(f"format {format_name(format)} is for writing only")
    return format


def _writable(format: str) -> str:  # noqa: A002 # the word for it
    if format not in INLINED and not load_format(format).writes:
        raise ValueError(f"format {format_name(format)} is for reading only; write `format: json`")
    return format


_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
        ]
    }
)
Format = Annotated[str, BeforeValidator(lambda value: _readable(_parse(value))), _SCHEMA]
"""A field of a config that says how values are read."""
WriteFormat = Annotated[str, BeforeValidator(lambda value: _writable(_parse(value))), _SCHEMA]
"""A field of a config that says how values are written."""
