"""`merge_data`: adds constant or computed data to an event."""

from collections.abc import Iterable

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.expression import Template


class MergeDataConfig(ActionConfig):
    """What is added."""

    data: Template = Field(
        description="a mapping of fields to add; `${...}` may stand anywhere inside; they win over the event's"
    )


class MergeData(InlineAction):
    """Merges fields into the event; fields of the same name are replaced."""

    Config = MergeDataConfig
    config: MergeDataConfig

    def problems(self) -> Iterable[str]:
        if not isinstance(self.config.data.value, dict):
            yield "data: must be a mapping of fields to values"

    def summary(self) -> str:
        return f"add {', '.join(self.config.data.value)}"

    def emit(self, code: Code) -> None:
        merged = code.variable("event")
        code.line(f"{merged} = {{**{code.event}, **{code.expression(self.config.data)}}}")
        code.forward(merged, is_owned=True, is_object=True)
