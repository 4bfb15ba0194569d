"""The flow document as data: frozen, and the same whether read from a file or made in Python."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
)

from headrace.runtime.duration import Duration
from headrace.runtime.flow.places import Places

DEAD_LETTER: Final = "dead_letter"
SKIP: Final = "skip"
FAIL: Final = "fail"
REACTIONS: Final = (DEAD_LETTER, SKIP, FAIL)
"""The values of `on_error` that are not the name of a stage."""

_NOT_IN_SLUG: Final = re.compile(r"[^a-zA-Z0-9._-]")


def slug(name: str) -> str:
    """A name as Kafka allows it in topic and group names; other characters become `-`.

    Different names may have the same slug; who puts several into one place checks that.
    """
    replaced = _NOT_IN_SLUG.sub("-", name)
    return replaced.replace(".", "-") if replaced in {".", ".."} else replaced


def _not_empty(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be empty")
    return name


Name = Annotated[str, AfterValidator(_not_empty)]


class Part(BaseModel):
    """A part of a document: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Exponential(Part):
    """Pauses that grow by a factor from one failure to the next."""

    initial: Duration
    """The pause after the first failure."""
    multiplier: Annotated[StrictFloat, Field(ge=1, le=100)] = 2.0
    """What each pause is multiplied with to give the next one."""
    jitter: Annotated[StrictFloat, Field(ge=0, le=1)] = 0.1
    """The part of a pause that is left to chance, so that many failures do not come back in step:
    0.1 means up to a tenth more or less."""
    cap: Duration = timedelta(minutes=1)
    """No pause is longer than this."""


def _kind_of_backoff(value: Any) -> str | None:
    if isinstance(value, str | timedelta | int | float) and not isinstance(value, bool):
        return "constant"
    if isinstance(value, list | tuple):
        return "list"
    return "exponential" if isinstance(value, dict | Exponential) else None


def _not_without_pauses(pauses: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if not pauses:
        raise ValueError("must hold at least one duration")
    return pauses


Pauses = Annotated[tuple[Duration, ...], AfterValidator(_not_without_pauses)]
Backoff = Annotated[
    Annotated[Duration, Tag("constant")]
    | Annotated[Pauses, Tag("list")]
    | Annotated[Exponential, Tag("exponential")],
    Discriminator(
        _kind_of_backoff,
        custom_error_type="backoff",
        custom_error_message="must be a duration, a list of durations, or a mapping",
    ),
]


IN_PLACE_MAX = timedelta(seconds=5)


class Breaker(Part):
    """When a stage stops calling a target that fails, and how it finds out that it is well again."""

    failures: Annotated[StrictInt, Field(ge=1, le=100_000)] = 5
    """So many failures in a row that are the target's (temporary ones) open the circuit: nothing is called any more."""
    pause: Duration = timedelta(seconds=10)
    """How long the circuit stays open before probes are let through. Records wait meanwhile."""
    probes: Annotated[StrictInt, Field(ge=1, le=100)] = 1
    """So many calls in a row must succeed to close it again; a failing one opens it anew."""


class Rate(Part):
    """How many records a stage calls out for in so much time, in each worker process."""

    limit: Annotated[StrictInt, Field(ge=1, le=10_000_000)]
    """So many records ..."""
    per: Duration = timedelta(seconds=1)
    """... in so much time, evenly; as many at once after a pause."""


class Retry(Part):
    """How often, and after which pauses, a stage tries a record again before `on_error` decides."""

    attempts: Annotated[StrictInt, Field(ge=1, le=10_000)] = 5
    """How often a record is tried in all, the first time included; 1 means never again."""
    backoff: Backoff = Exponential(initial=timedelta(milliseconds=200))
    """The pause before each further attempt: one duration, a list of durations (the last one
    repeats), or a mapping with `initial`, `multiplier`, `jitter` and `cap` for pauses that grow."""
    retry_if: Name | None = None
    """An expression over `error` (`type`, `message`, `status`, `is_temporary`); a failure for which it is false is
    not tried again. Without it temporary failures are: no answer, overload, a lock."""
    wait: Literal["in_place", "deferred"] | None = None
    """Where a record waits between attempts: `in_place`, with what comes behind it, or `deferred` to a durable timer, so
    that other keys go on. Without it, in place where all pauses together take no more than five seconds."""

    @property
    def is_deferred(self) -> bool:
        """Whether a record waits with a durable timer."""
        if self.wait is not None:
            return self.wait == "deferred"
        total = timedelta()
        for failures in range(1, self.attempts):
            total += self.pause(failures, 0.5)
            if total > IN_PLACE_MAX:
                return True
        return False

    def pause(self, failures: int, chance: float) -> timedelta:
        """The pause after this many failures (from 1); `chance` is a random number in [0, 1)."""
        if isinstance(self.backoff, timedelta):
            return self.backoff
        if isinstance(self.backoff, tuple):
            return self.backoff[min(failures, len(self.backoff)) - 1]
        growth = self.backoff
        cap_s = growth.cap.total_seconds()
        # The exponent is bounded because a float overflows after a thousand doublings.
        pause_s = growth.initial.total_seconds() * growth.multiplier ** min(failures - 1, 150)
        pause_s = min(pause_s, cap_s) * (1 + growth.jitter * (2 * chance - 1))
        return timedelta(seconds=min(pause_s, cap_s))


class Policies(Part):
    """What happens around a stage; None leaves it to the flow's `defaults`, then to the action."""

    retry: Retry | None = None
    """How a failing record is tried again."""
    timeout: Duration | None = None
    """The time one attempt at one record may take; running out of it is a failure."""
    on_error: Name | None = None
    """What becomes of a record that failed for good: `dead_letter` (the default), `skip`, `fail`
    (stops the flow), or the name of a stage that receives the error."""
    buffer: Annotated[StrictInt, Field(ge=1)] | None = None
    """How many records may be in flight; when it is full the inputs are paused, never dropped."""
    breaker: Breaker | None = None
    """When to stop calling a target that fails."""
    rate_limit: Rate | None = None
    """How often to call at most."""


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return value
    raise ValueError("must be the name of a stage or a list of names")


class Stage(Policies):
    """One node of a flow: an action, its configuration, and where its output goes."""

    name: Name
    """Identifies the stage within its flow; free text."""
    action: Name
    """What the stage does: a built-in action or one that an installed package provides."""
    config: dict[str, Any] = {}
    """The action's own fields, which the action checks."""
    out: Annotated[tuple[Name, ...], BeforeValidator(_as_list)] = ()
    """The stages that receive the output, each of them all of it; text for one stage, a list for
    several. A stage without `out` is an end of the flow."""
    compensate: Name | None = None
    """The stage that undoes this one when a later stage of the same run fails."""
    link: Literal["topic"] | None = None
    """`topic` puts a Kafka topic in front of this stage, where it would otherwise be fused with the
    one before."""
    renamed_from: Name | None = None
    """The name this stage had when its topics were created. They keep it, and with them the stage
    keeps its state: renaming moves nothing. It stays in the document for good; a stage that is
    renamed again still names the first one."""

    @property
    def first_name(self) -> str:
        """What the stage's topics, its state and the markers of its tasks call it."""
        return self.renamed_from or self.name

    @property
    def slug(self) -> str:
        """The name as topic names carry it."""
        return slug(self.first_name)


def _as_text(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("must be text or a whole number")  # noqa: TRY004 - pydantic's contract
    return str(value) if isinstance(value, int) else value


def _not_without_stages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if not stages:
        raise ValueError("must hold at least one stage, which begins the flow as its trigger")
    return stages


class Flow(Part):
    """A graph of stages that begins with a trigger; that the stages fit is the graph's check."""

    name: Name
    """Identifies the flow; free text. Its slug is part of group and topic names, so renaming a flow
    starts it anew."""
    description: str | None = None
    """What the flow is for."""
    tags: tuple[Name, ...] = ()
    """Words to find the flow by."""
    version: Annotated[Name, BeforeValidator(_as_text)] | None = None
    """The author's own version of this document, recorded with every run."""
    enabled: StrictBool = True
    """Whether a worker starts the flow."""
    group: Name | None = None
    """Flows that name the same group share a consumer and a transaction; without it a flow has a
    group of its own."""
    defaults: Policies = Policies()
    """Policies of all stages that do not have their own."""
    input: dict[str, Any] | None = None
    """A JSON Schema that the trigger's records must meet."""
    stages: Annotated[tuple[Stage, ...], AfterValidator(_not_without_stages)]
    """The stages, in any order."""

    _places: Places = PrivateAttr(default_factory=Places)

    def model_post_init(self, context: Any) -> None:
        """Keep the places that a reader passes as the validation context."""
        if isinstance(context, Places):
            self._places = context

    @property
    def slug(self) -> str:
        """The name as group and topic names carry it."""
        return slug(self.name)

    @property
    def group_slug(self) -> str:
        """The consumer group's name without its prefix; equal for flows that share a group."""
        return slug(self.group or self.name)

    def place(self, *path: str | int) -> str:
        """Where a part of the flow stands, as `orders.yaml:14`, or the nearest part around it.

        Called with the path that leads to the part, such as `("stages", 2, "config", "where")`.
        Empty for a flow made in Python.
        """
        return self._places.place(*path)

    def line(self, *path: str | int) -> int:
        """The line alone, to sort by; 0 for a flow made in Python."""
        return self._places.line(*path)

    def policies(self, stage: Stage) -> Policies:
        """A stage's own policies where it has them, else the flow's; `on_error` is never None."""

        def chosen(field: str) -> Any:
            own = getattr(stage, field)
            return getattr(self.defaults, field) if own is None else own

        return Policies(
            retry=chosen("retry"),
            timeout=chosen("timeout"),
            on_error=chosen("on_error") or DEAD_LETTER,
            buffer=chosen("buffer"),
            breaker=chosen("breaker"),
            rate_limit=chosen("rate_limit"),
        )
