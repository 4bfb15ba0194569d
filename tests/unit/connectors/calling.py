"""Runs an action that calls the outside, as the engine does, on the test's own event loop."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.action import Action
from headrace.runtime.contracts.call import BatchAction, Call, Caller, Opening, Outcome
from headrace.runtime.expression import Expression, Template
from headrace.runtime.expression.computation import Computation

NOW_MS = 1_700_000_000_000
NAMES = ("event", "key", "headers", "timestamp")


def action_of(kind: type[Action], config: Mapping[str, Any]) -> BatchAction:
    """The action of a config in which nothing is wrong."""
    made = kind(kind.Config.model_validate(dict(config))).specialised()
    assert list(made.problems()) == []
    assert isinstance(made, BatchAction)
    return made


def problems_of(kind: type[Action], config: Mapping[str, Any]) -> list[str]:
    return list(kind(kind.Config.model_validate(dict(config))).problems())


class Calling(AbstractAsyncContextManager["Calling"]):
    """A stage with its caller open. `secrets` is what `secret.NAME` stands for."""

    def __init__(
        self,
        kind: type[Action],
        config: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.action = action_of(kind, config)
        self.clock = ManualClock(NOW_MS)
        self.secrets = dict(secrets or {})
        self.caller = self._caller()
        self._count = 0

    def _caller(self) -> Caller:
        settings = {name: self._setting(one) for name, one in self.action.settings().items()}
        return self.action.caller(Opening("orders", "call", settings, self.clock))

    async def __aenter__(self) -> Self:
        await self.caller.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.caller.close()

    def call(self, event: Any, key: bytes | None = b"k", run: str | None = None) -> Call:
        """The call of a record; evaluating its arguments may raise RecordError."""
        self._count += 1
        values = {"event": event, "key": key, "headers": {}, "timestamp": NOW_MS}
        arguments = {
            name: self._value(name, part, values) for name, part in self.action.arguments().items()
        }
        return Call(event, arguments, key, NOW_MS, run or f"in-0-{self._count}.call")

    async def outcomes(self, *events: Any) -> list[Outcome]:
        return list(await self.caller.process([self.call(event) for event in events]))

    async def events(self, *events: Any) -> list[Any]:
        """The events that come of these, or the first error."""
        made: list[Any] = []
        for outcome in await self.outcomes(*events):
            if outcome.error is not None:
                raise outcome.error
            made += outcome.events
        return made

    async def event(self, event: Any) -> Any:
        (made,) = await self.events(event)
        return made

    def _value(self, name: str, part: Expression | Template, values: Mapping[str, Any]) -> Any:
        roots = {**{f"secret_{secret}": value for secret, value in self.secrets.items()}, **values}
        spelled = _Spelled(part, *roots)
        return spelled(*roots.values())

    def _setting(self, template: Template) -> Any:
        return self._value("setting", template, {})


class _Spelled(Computation):
    """A computation in which `secret.NAME` is a variable of its own."""

    def __init__(self, part: Expression | Template, *names: str) -> None:
        super().__init__("argument", _Renamed(part), *names)  # type: ignore[arg-type] # emits like a part


class _Renamed:
    """Emits a part with its secrets as variables."""

    def __init__(self, part: Expression | Template) -> None:
        self._part = part

    def emit(self, names: Mapping[str, str]) -> str:
        secrets = {f"secret.{name}": f"secret_{name}" for name in self._part.secrets}
        return self._part.emit({**names, **secrets})
