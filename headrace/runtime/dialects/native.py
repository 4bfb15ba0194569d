"""The native format: `name` and `stages`, each with `name`, `action`, `config` and `out`."""

from typing import Any

from pydantic import ValidationError

from headrace.runtime.dialects.mending import mended
from headrace.runtime.flow.document import Mistake, Mistakes
from headrace.runtime.flow.explanation import describe_validation
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.places import Path, Places
from headrace.runtime.flow.suggestion import found


def recognises(data: Any) -> bool:
    """Whether a document has the one key that no other dialect has."""
    return isinstance(data, dict) and "stages" in data


def read(data: Any, places: Places) -> Flow | list[Mistake]:
    """The flow that a document holds, or all that is wrong with it, in order of line."""
    if not isinstance(data, dict):
        text = f"a flow must be a mapping with 'name' and 'stages', found {found(data)}"
        if isinstance(data, list):
            text += "; put several flows into one file with '---' between them"
        return [Mistake(places.line(), text)]
    try:
        return Flow.model_validate(data, context=places)
    except ValidationError as error:
        findings = describe_validation(
            error, Flow, data, named=lambda path: _subject(path, data)[0]
        )
        meant = mended(data, places, error)
    mistakes = [
        Mistake(places.line(*path), f"{_subject(path, data)[1]}: {text}") for path, text in findings
    ]
    return Mistakes(sorted(mistakes, key=lambda mistake: mistake.line), meant)


def _subject(path: Path, data: dict[str, Any]) -> tuple[int, str]:
    """Whom a message is about, and how many steps of the path its name stands for."""
    if len(path) > 2 and path[0] == "stages":
        name = data["stages"][path[1]].get("name")
        if isinstance(name, str) and name.strip():
            return 2, f"stage {name!r}"
    name = data.get("name")
    return 0, f"flow {name!r}" if isinstance(name, str) and name.strip() else "flow"
