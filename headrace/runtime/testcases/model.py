"""The document of test cases: frozen data, checked like a flow document."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from headrace.runtime.duration import Duration
from headrace.runtime.expression import Expression, ExtraNames, Template

TOLERANCE: Final = 1e-9
"""How far apart, relative to their size, two numbers may be unless a document says otherwise."""
CONTENTS: Final = ("value", "raw", "base64")
COMMANDS: Final = ("advance", "restart", "fail_next_commit")

Match = Literal["exact", "subset"]
Order = Literal["exact", "any"]


def _moment(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(
            "must be a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970 UTC"
        ) from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(
        1970, 1, 1, tzinfo=UTC
    )
    return round(since.total_seconds() * 1000)


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise ValueError("must be base64, as in `base64: /w==`") from None


def _values(value: object) -> object:
    """Numbers and truth values as the text that a variable holds."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: str(item).lower() if isinstance(item, bool) else str(item)
        for name, item in value.items()
        if item is not None
    }


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _not_empty(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be empty")
    return name


def _not_without_tests(tests: tuple["TestCase", ...]) -> tuple["TestCase", ...]:
    if not tests:
        raise ValueError("must hold at least one test")
    return tests


Moment = Annotated[int, BeforeValidator(_moment)]
Base64 = Annotated[bytes, BeforeValidator(_bytes)]
Texts = Annotated[dict[str, str], BeforeValidator(_values)]
Tolerance = Annotated[float, Field(ge=0, le=1)]
Partitions = Annotated[StrictInt, Field(ge=1, le=1000)]
Name = Annotated[str, AfterValidator(_not_empty)]


class Part(BaseModel):
    """A part of the document: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def has(self, *names: str) -> list[str]:
        """Those of the fields that the document gives, even as null."""
        return [name for name in names if name in self.model_fields_set]

    @property
    def raw_bytes(self) -> bytes | None:
        """What `raw` or `base64` says, as the bytes of a record."""
        encoded: bytes | None = getattr(self, "base64", None)
        text: str | None = getattr(self, "raw", None)
        return encoded if encoded is not None else text.encode() if text is not None else None


class InputStep(Part):
    """A record to send, or something that happens between two records."""

    topic: Name | None = None
    """Where it is sent; may be left out when the flow reads just one topic."""
    key: Any = None
    """Text as it is, everything else as JSON."""
    value: Any = None
    """Sent as JSON; null is a tombstone."""
    raw: str | None = None
    """Text that is sent as it is, in place of `value`."""
    base64: Base64 | None = None
    """Bytes that are sent as they are, in place of `value`."""
    headers: dict[str, Any] = {}
    timestamp: Moment | None = None
    """Milliseconds since 1970 UTC or ISO 8601; the clock's time when left out."""
    partition: Annotated[StrictInt, Field(ge=0)] | None = None
    advance: Duration | None = None
    """Finishes what is left to do, and moves the clock."""
    restart: Literal[True] | None = None
    """Kills the worker in the middle of its work and starts it again."""
    fail_next_commit: Literal[True] | None = None
    """Lets the next commit fail."""

    @model_validator(mode="after")
    def _one_of(self) -> "InputStep":
        contents, commands = self.has(*CONTENTS), self.has(*COMMANDS)
        if commands and len(self.model_fields_set) > 1:
            raise ValueError(
                f"'{commands[0]}' stands alone; put other keys into a step of their own"
            )
        if len(contents) > 1:
            raise ValueError(f"give one of 'value', 'raw' and 'base64', not {len(contents)}")
        if not contents and not commands:
            raise ValueError(
                "give a record's 'value', 'raw' or 'base64', or 'advance', 'restart' or 'fail_next_commit'"
            )
        return self


class ExpectedRecord(Part):
    """A record that should come out; only what is named is compared."""

    key: Any = None
    """Compared with the text of the key, or with its JSON when it is no text."""
    value: Any = None
    """Compared with the decoded JSON, or with the text of what is no JSON."""
    raw: str | None = None
    """Compared with the bytes as text; null is a tombstone."""
    base64: Base64 | None = None
    headers: dict[str, Any] = {}
    timestamp: Moment | None = None
    partition: StrictInt | None = None
    match: Match | None = None


class ExpectedDeadLetter(ExpectedRecord):
    """A record that should fail; `error` is a part of the message."""

    flow: str | None = None
    stage: str | None = None
    error: str | None = None
    type: str | None = None
    """The class of the error, such as RecordError."""
    topic: str | None = None
    """Where the record was read."""
    offset: StrictInt | None = None


class Rules(Part):
    """How records are compared; a test's own rules win over those of its file."""

    order: Order | None = None
    """`exact` (the default): the order within each partition; `any`: none."""
    match: Match | None = None
    """`exact` (the default): mappings have the named fields and no others; `subset`: others may be there."""
    tolerance: Tolerance | None = None
    """The relative difference that two numbers may have; 0.000000001 by default."""
    others: Literal["fail", "ignore"] | None = None
    """What to do about records, and dead letters, of which the test says nothing: `fail` (the default) or `ignore`."""


Asked = ExtraNames("arguments")
"""`arguments` are what the stage's config makes of the record for the call."""


class Answer(Part):
    """What something outside answers to a stage; with nothing but `when` and `times` the event goes on as it is."""

    when: Annotated[Expression, Asked] | None = None
    """Whether the answer is for this record, an expression over `event`, `key` and `arguments`; for every one when left out."""
    times: Annotated[StrictInt, Field(ge=1)] | None = None
    """How often it is given; then the next one that fits is."""
    event: Annotated[Template, Asked] | None = None
    """The event that the stage sends on; `${...}` over `event`, `key` and `arguments` may stand anywhere inside."""
    merge: Annotated[Template, Asked] | None = None
    """Fields that are added to the event."""
    drop: bool = False
    """The stage sends nothing on."""
    error: str | None = None
    """The call fails with this message."""
    temporary: bool = False
    """Whether the failure is worth another try by default."""
    status: int | str | None = None
    """What `retry_if` sees as `error.status`."""

    @model_validator(mode="after")
    def _one_of(self) -> "Answer":
        given = self.has("event", "merge", "drop", "error")
        if len(given) > 1:
            raise ValueError(f"give one of 'event', 'merge', 'drop' and 'error', not {len(given)}")
        return self


Answers = dict[str, tuple[Answer, ...]]


class TestCase(Rules):
    """Input, and what should come of it. Every test has topics, a worker and a clock of its own."""

    __test__ = False  # its name makes pytest look for tests in it

    name: Name
    """Says what is so when the test passes."""
    input: tuple[InputStep, ...] = ()
    """What is sent, and what happens in between."""
    expect: dict[str, tuple[ExpectedRecord, ...]] = {}
    """Per topic, the records that come out; an empty list says that none does."""
    answers: Answers = {}
    """Per stage that calls something outside, what comes back: the first answer that fits. They come before the file's."""
    dead_letters: tuple[ExpectedDeadLetter, ...] | None = None
    """The records that fail; none when left out."""
    stops: StrictStr | None = None
    """A part of the error with which the flow stops (`on_error: fail`)."""


class TestDocument(Rules):
    """A file of tests."""

    __test__ = False

    flow: Annotated[tuple[Name, ...], BeforeValidator(_one_or_many)] = ()
    """The flow document, or several that run together, seen from this file; by default the file of the same stem."""
    env: Texts = {}
    """What `env.NAME` stands for; nothing of the machine's environment is seen."""
    secrets: Texts = {}
    """What `secret.NAME` stands for."""
    now: Moment | None = None
    """Where the clock begins; 2026-01-01T00:00:00Z when left out."""
    topics: dict[str, Partitions] = {}
    """Partitions of topics; every other has one."""
    answers: Answers = {}
    """Per stage that calls something outside, what comes back in all tests."""
    tests: Annotated[tuple[TestCase, ...], AfterValidator(_not_without_tests)]
