"""`log`: writes a line to the worker's log."""

import logging
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.expression import Template

Level = Literal["debug", "info", "warning", "error"]


class LogConfig(ActionConfig):
    """What is logged."""

    message: Template = Field(
        default_factory=lambda: Template.parse("${event}"),
        description="the line; `${...}` may stand anywhere inside",
    )
    level: Level = Field("info", description="debug, info, warning or error")


class Log(InlineAction):
    """Logs a line per record to the logger `headrace.flow.log` and passes the record on.

    A record that is read again after a failure is logged again.
    """

    Config = LogConfig
    config: LogConfig

    def problems(self) -> Iterable[str]:
        for name in sorted(self.config.message.secrets):
            yield f"message: mentions secret.{name}, and a log never tells a secret; leave it out"

    def emit(self, code: Code) -> None:
        logger = logging.getLogger("headrace.flow.log")
        level = logging.getLevelNamesMapping()[self.config.level.upper()]
        enabled = code.constant(logger.isEnabledFor, "is_logged")
        write = code.constant(logger.log, "log")
        with code.block(f"if {enabled}({level}):"):
            code.line(
                f"{write}({level}, '%s: %s', {code.stage!r}, {code.expression(self.config.message)})"
            )
        code.forward(code.event, is_unchanged=True)
