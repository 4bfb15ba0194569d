"""Runs the lines of one inline action without a flow: what it sends on is collected."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.runtime.contracts.action import Action, InlineAction
from headrace.runtime.expression import FUNCTIONS, Expression, Template

RUN = "run"


def forwarded(action: Action, event: Any) -> list[Any]:
    """The events that go on; those that go to a named stage with its name in front."""
    assert isinstance(action, InlineAction)
    code = _Lines()
    action.emit(code)  # type: ignore[arg-type] # as much of `Code` as these actions use
    names: dict[str, Any] = {
        **FUNCTIONS,
        **code.constants,
        "event": event,
        "run_id": RUN,
        "sent": [],
    }
    exec("\n".join(code.lines), names)
    sent: list[Any] = names["sent"]
    return sent


class _Lines:
    event = "event"

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, object] = {}
        self._indent = 0
        self._count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        self.line(header)
        self._indent += 1
        yield
        self._indent -= 1

    def expression(
        self, part: Expression | Template, names: Mapping[str, str] | None = None
    ) -> str:
        return part.emit({"event": self.event, "run.id": "run_id", **(names or {})})

    def constant(self, value: object, hint: str) -> str:
        name = self.variable(hint)
        self.constants[name] = value
        return name

    def variable(self, hint: str, spelled: str = "") -> str:
        self._count += 1
        return f"{hint}_{self._count}"

    def forward(self, event: str, **known: bool) -> None:
        self.line(f"sent.append({event})")

    @contextmanager
    def forward_each(self, items: str, item: str) -> Iterator[None]:
        with self.block(f"for {item} in {items}:"):
            yield

    def forward_to(self, stage: str) -> None:
        self.line(f"sent.append(({stage!r}, {self.event}))")

    def visited(self, route: str) -> None:
        pass
