"""Actions that call something outside: lookups, requests, queries, files.

Such an action says what a call needs of a record (`BatchAction.arguments`), and makes a `Caller` that carries calls out. The
engine does the rest: it collects records, keeps the order of each key, bounds what is in flight, waits before the transaction
commits, and carries out the stage's `timeout`, `retry`, `breaker`, `rate` and `on_error`.

What is called may be called again for the same record, after a failure or a crash: at least once. `Call.id` is the same then.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import Action
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression, Template


@dataclass(frozen=True, slots=True)
class Call:
    """One record that waits for the outside. `arguments` has a value for each name of `BatchAction.arguments`."""

    event: Any
    arguments: Mapping[str, Any]
    key: bytes | None
    timestamp_ms: int
    id: str
    """Run and stage: an idempotency key that is the same when the record comes again."""


class CallFailedError(RecordError):
    """A call failed.

    The message never holds payload or secrets; what helps to find the cause and may hold payload is a note (`add_note`),
    which goes to the dead letter only.

    Args:
        is_temporary: the same call may succeed later: no answer, overload, a lock. Others are not tried again unless
            `retry_if` says so.
        retry_after_s: how long the other side asks to wait.
        status: the status of an HTTP answer, or the code of a database, for `retry_if`.
    """

    def __init__(
        self,
        message: str,
        *,
        is_temporary: bool = False,
        retry_after_s: float | None = None,
        status: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s
        self.status = status


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call: the events to send on (none drops the record), or the error that policies decide about."""

    events: Sequence[Any] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class Opening:
    """What a caller is made with: `settings` has the value of each of `BatchAction.settings`."""

    flow: str
    stage: str
    settings: Mapping[str, Any]
    clock: Clock


class Caller(ABC):
    """Carries calls out for one stage in one member; holds its connections and caches. All methods run in one event loop."""

    async def open(self) -> None:  # noqa: B027 # most have nothing to do
        """Prepare; called once, before the first call.

        Raises:
            SettingsError: it can never work.
        """

    @abstractmethod
    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        """Carry out at most `batch_size` calls; one outcome per call, in their order.

        What it raises is the failure of all of them. Cancelled when the stage's `timeout` is over.
        """

    async def close(self) -> None:  # noqa: B027 # most have nothing to do
        """Let go of everything. May be called again."""

    async def committed(self) -> None:  # noqa: B027 # most have nothing to do
        """The transaction of every call so far was committed."""


class Outside:
    """What is called outside: `batch_size` bounds one call, and `concurrency` how many are under way."""

    @property
    def batch_size(self) -> int:
        return 100

    @property
    def concurrency(self) -> int:
        return 4

    def arguments(self) -> Mapping[str, Expression | Template]:
        """What a call needs of its record; computed where the record is, so that a failure is explained as usual."""
        return {}

    def settings(self) -> Mapping[str, Template]:
        """What connections need; may mention `env` and `secret` only."""
        return {}

    def target(self, arguments: Mapping[str, Any]) -> str:  # noqa: ARG002 # for those that have several
        """What a call goes to, such as a host; a circuit breaker opens per target."""
        return ""


class BatchAction(Outside, Action, ABC):
    """An action that works on batches and may wait.

    Records of one key are never in two calls at once. A batch holds each key once, unless `keeps_order` says that `process`
    carries equal keys out in their order.
    """

    keeps_order: ClassVar[bool] = False

    @abstractmethod
    def caller(self, opening: Opening) -> Caller:
        """A caller for this stage. Nothing is connected yet.

        Raises:
            SettingsError: an extra is missing, or a setting is wrong.
        """
