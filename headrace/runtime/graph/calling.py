"""A stage that calls the outside, as the engine sees it: a keyed stage, whose state is what waits to be tried again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from headrace.runtime.contracts.action import KeyedAction, KeyedContext
from headrace.runtime.contracts.call import BatchAction, CallFailedError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.computation import Computation
from headrace.runtime.flow.model import Policies, Retry

TIMEOUT = timedelta(seconds=30)
TIMEOUT_MAX = timedelta(minutes=2)
"""A member that waits longer than five minutes for its calls is put out of its group."""
WAITING_MAX = 10_000


class RetryIf:
    """Whether a failure is worth another try, by the `retry_if` of a stage, or by default where it is temporary.

    Raises:
        ExpressionError: `text` is no expression over `error`.
    """

    def __init__(self, text: str | None) -> None:
        self._compute = None
        if text is not None:
            expression = Expression.parse(text, frozenset({"error"}))
            self._compute = Computation("retry_if", expression, "error")

    def __call__(self, error: Exception) -> bool:
        """Raises RecordError where the expression itself fails."""
        is_temporary = is_temporary_failure(error)
        if self._compute is None:
            return is_temporary
        told = {
            "type": type(error).__name__,
            "message": str(error),
            "status": getattr(error, "status", None),
            "is_temporary": is_temporary,
        }
        return bool(self._compute(told))


def is_temporary_failure(error: Exception) -> bool:
    """Whether the same call may succeed later: the action says so, or no answer came in time, or no connection."""
    if isinstance(error, CallFailedError):
        return error.is_temporary
    return isinstance(error, TimeoutError | ConnectionError)


class Calling(KeyedAction):
    """Stands for a `BatchAction` under the policies of its stage; see `runtime.task.call_stage`.

    Records that wait to be tried again are entries of their key, named by a number that grows; the key has a timer for the first.
    """

    ttl_kind = "wall"

    def __init__(self, action: BatchAction, policies: Policies) -> None:
        super().__init__(action.config)
        self.action = action
        self.retry = policies.retry or Retry()
        self.timeout = policies.timeout or TIMEOUT
        self.breaker = policies.breaker
        self.rate_limit = policies.rate_limit
        self.waiting_max = policies.buffer or WAITING_MAX

    def outputs(self) -> tuple[str, ...]:
        return self.action.outputs()

    @property
    def is_per_record(self) -> bool:
        return True

    def shape(self) -> Mapping[str, Any]:
        """What waits is data of the flow, whatever the settings are."""
        return {"action": "calls"}

    def shown(self, name: str, value: Any) -> Any:  # noqa: ARG002 # every entry is of this form
        """The event, how often it was tried, and when it will be again."""
        return {"event": value["event"], "attempts": value["failures"], "due": value["due"]}

    def on_record(self, context: KeyedContext, event: Any) -> None:  # noqa: ARG002 # never called
        """Never called: `CallStage` runs the action."""
        raise AssertionError("a calling stage is run by CallStage")
