"""Makes of a document with mistakes the flow that was probably meant, so that one report tells of its graph, too."""

from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from headrace.runtime.flow.explanation import models_at
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.places import Path, Places
from headrace.runtime.flow.suggestion import nearest


def mended(data: dict[str, Any], places: Places, error: ValidationError) -> Flow | None:
    """Mistyped keys are spelt right and wrong values left out; None when that does not make a flow."""
    meant = deepcopy(data)
    for detail in error.errors():
        if detail["type"] != "missing" and not _mend(meant, tuple(detail["loc"]), detail["type"]):
            return None
    try:
        return Flow.model_validate(meant, context=places)
    except ValidationError:
        return None


def _mend(meant: Any, path: Path, kind: str) -> bool:
    """Mend what one error is about; whether that was possible."""
    *steps, key = path
    parent = meant
    try:
        for step in steps:
            parent = parent[step]
    except (KeyError, IndexError, TypeError):
        return False
    if not isinstance(parent, dict) or key not in parent:
        return False
    value = parent.pop(key)
    if kind == "extra_forbidden":
        known = {name for model in models_at(tuple(steps), Flow) for name in model.model_fields}
        right = nearest(str(key), known - set(parent))
        if right is not None:
            parent[right] = value
    return True
