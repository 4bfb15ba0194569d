"""`branch`: chooses where a record goes on."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.expression import Expression


class RouteConfig(ActionConfig):
    """One way on: taken when `when` holds."""

    when: Expression = Field(description="the condition")
    to: tuple[str, ...] = Field(description="the stage, or stages, that get the record")

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class BranchConfig(ActionConfig):
    """Routes in order; `otherwise` takes what no route took."""

    routes: tuple[RouteConfig, ...] = Field(
        description="conditions and the stages they lead to, tried in order"
    )
    otherwise: tuple[str, ...] = Field(
        (), description="the stage, or stages, for records that no route took"
    )
    mode: Literal["first", "all"] = Field(
        "first", description="take the first route that holds, or all of them"
    )

    _one_or_many = field_validator("otherwise", mode="before")(
        lambda value: (value,) if isinstance(value, str) else value
    )


class Branch(InlineAction):
    """Sends a record to the stages of the first route whose condition holds, or of all such routes."""

    Config = BranchConfig
    config: BranchConfig

    def problems(self) -> Iterable[str]:
        if not self.config.routes:
            yield "needs at least one route"

    def outputs(self) -> tuple[str, ...]:
        routed = [stage for route in self.config.routes for stage in route.to]
        return tuple(dict.fromkeys((*routed, *self.config.otherwise)))

    def summary(self) -> str:
        routes = [f"{route.when.text} -> {', '.join(route.to)}" for route in self.config.routes]
        if self.config.otherwise:
            routes.append(f"otherwise -> {', '.join(self.config.otherwise)}")
        return "; ".join(routes)

    def emit(self, code: Code) -> None:
        if self.config.mode == "all":
            self._emit_all(code)
            return
        # Beforehand, because an expression may write lines of its own, which would tear the chain of `elif` apart.
        conditions = [code.expression(route.when) for route in self.config.routes]
        word = "if"
        for i, route in enumerate(self.config.routes):
            with code.block(f"{word} {conditions[i]}:"):
                self._go(code, route.to, f"route {i + 1}")
            word = "elif"
        if self.config.otherwise:
            with code.block("else:"):
                self._go(code, self.config.otherwise, "otherwise")
        code.forward(code.event, is_unchanged=True)

    def _emit_all(self, code: Code) -> None:
        took = code.variable("took")
        code.line(f"{took} = False")
        for i, route in enumerate(self.config.routes):
            with code.block(f"if {code.expression(route.when)}:"):
                code.line(f"{took} = True")
                self._go(code, route.to, f"route {i + 1}")
        if self.config.otherwise:
            with code.block(f"if not {took}:"):
                self._go(code, self.config.otherwise, "otherwise")
        code.forward(code.event, is_unchanged=True)

    def _go(self, code: Code, stages: tuple[str, ...], route: str) -> None:
        code.visited(route)
        for stage in stages:
            code.forward_to(stage)
