"""Functions that the flow beside this file calls."""

from typing import Any


def normalise(event: dict[str, Any], *, country: str) -> dict[str, Any]:
    """Spell names and countries in one way."""
    return {**event, "name": event["name"].strip().title(), "country": country.upper()}
