"""Log lines of commands: to stderr, above a live display when there is one."""

import logging
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LEVELS = ("debug", "info", "warning", "error")
STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "bold red"}


class ConsoleHandler(logging.Handler):
    """Writes through a console, so that lines do not tear a live display apart."""

    def __init__(self, console: "Console", *, shows_tracebacks: bool) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(Formatter(shows_tracebacks=shows_tracebacks))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            style = STYLES.get(record.levelno)
            self._console.print(self.format(record), style=style, soft_wrap=True)
        except Exception:  # the contract of handlers
            self.handleError(record)


class Formatter(logging.Formatter):
    """One line per record; an exception is its type and message unless tracebacks were asked for."""

    def __init__(self, *, shows_tracebacks: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._shows_tracebacks = shows_tracebacks

    def formatException(self, ei: object) -> str:  # noqa: N802 # the name that logging calls
        assert isinstance(ei, tuple)
        if self._shows_tracebacks:
            return "".join(traceback.format_exception(*ei)).rstrip()
        return "".join(traceback.format_exception_only(ei[1])).rstrip()


def show_logs(console: "Console", level: str, *, shows_tracebacks: bool) -> logging.Handler:
    """Show the log lines of headrace from a level on, and of everything else from warnings on."""
    handler = ConsoleHandler(console, shows_tracebacks=shows_tracebacks)
    logging.getLogger().addHandler(handler)
    logging.getLogger("headrace").setLevel(level.upper())
    return handler


def hide_logs(handler: logging.Handler) -> None:
    """Undo `show_logs`."""
    logging.getLogger().removeHandler(handler)
    logging.getLogger("headrace").setLevel(logging.NOTSET)
