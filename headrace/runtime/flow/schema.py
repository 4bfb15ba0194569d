"""The JSON Schema of the flow document, for editors and for other tools that write flows."""

from typing import Any, Final

from headrace.runtime.flow.model import Flow

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def flow_schema() -> dict[str, Any]:
    """The schema of one flow, draft 2020-12, made from the model and so never behind it.

    It is wider than what loads: an empty name or an empty list of stages is a document, though not
    one that can run, so that a document may be written from the top down under an editor's eye.
    """
    schema = _document_side(Flow.model_json_schema())
    version = schema["properties"]["version"]
    version["anyOf"] = [{"type": "string"}, {"type": "integer"}, {"type": "null"}]
    out = schema["$defs"]["Stage"]["properties"]["out"]
    out["anyOf"] = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    del out["type"], out["items"]
    return {"$schema": _DIALECT, "title": "headrace flow", **schema}


def _document_side(part: Any) -> Any:
    """A part of pydantic's schema without what tells only Python programmers something."""
    if isinstance(part, list):
        return [_document_side(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept: dict[str, Any] = {}
    for key, value in part.items():
        if key in {"properties", "$defs"}:
            kept[key] = {name: _document_side(inner) for name, inner in value.items()}
        elif key == "description":
            kept[key] = " ".join(value.split())
        elif key != "title" and not (key == "default" and not isinstance(value, int | float)):
            # Other defaults are Python's: empty tuples, None, ISO 8601 durations.
            kept[key] = _document_side(value)
    return kept
