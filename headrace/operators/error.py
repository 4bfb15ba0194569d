"""`error`: fails every record, to try out how a flow deals with it."""

from typing import NoReturn

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Template


class ErrorConfig(ActionConfig):
    """What the failure says."""

    message: Template = Field(
        default_factory=lambda: Template.parse("this stage fails every record"),
        description="the error's message",
    )


class Error(InlineAction):
    """Fails every record that reaches it."""

    Config = ErrorConfig
    is_terminal = True
    config: ErrorConfig

    def emit(self, code: Code) -> None:
        fail = code.constant(fail_record, "fail_record")
        code.line(f"{fail}({code.expression(self.config.message)})")


def fail_record(message: object) -> NoReturn:
    """Raise the error."""
    error = RecordError("the stage fails every record")
    error.add_note(str(message))  # may quote the record: for the dead letter, not for the log
    raise error
