"""Functions that flows of tests call."""

from typing import Any


def change_and_fail(event: dict[str, Any]) -> dict[str, Any]:
    """Leave the event half changed."""
    event["changed"] = True
    raise ValueError("no")
