"""What one check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. `remedy` says what to do, and is empty where nothing is to be done."""

    status: Status
    name: str
    text: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", name, text)


def warn(name: str, text: str, remedy: str) -> Finding:
    """Flows run, but somebody should know."""
    return Finding("warn", name, text, remedy)


def fail(name: str, text: str, remedy: str) -> Finding:
    """Flows do not run like this."""
    return Finding("fail", name, text, remedy)
