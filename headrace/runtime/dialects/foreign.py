"""Documents of other systems, recognised so that their owners learn why they do not run."""

from collections.abc import Callable
from typing import Any, Final

from headrace.runtime.flow.document import Mistake
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.places import Places


def _is_datatorch(data: dict[str, Any]) -> bool:
    jobs = data.get("jobs")
    return isinstance(jobs, dict) and any(
        isinstance(job, dict) and "steps" in job for job in jobs.values()
    )


def _is_openflow(data: dict[str, Any]) -> bool:
    value = data.get("value")
    return isinstance(value, dict) and isinstance(value.get("modules"), list)


def _is_plugsync(data: dict[str, Any]) -> bool:
    return str(data.get("version")) in {"3", "3.0", "3.1"} and isinstance(data.get("flows"), list)


def _is_node_graph(data: dict[str, Any]) -> bool:
    structure = data.get("flow_structure")
    return isinstance(structure, dict) and isinstance(structure.get("nodes"), list)


_KINDS: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "a DataTorch pipeline ('jobs' with 'steps')": _is_datatorch,
    "a Windmill OpenFlow ('value.modules')": _is_openflow,
    "a PlugSync configuration ('version' 3 with 'flows')": _is_plugsync,
    "a node graph ('flow_structure.nodes')": _is_node_graph,
}


def recognises(data: Any) -> bool:
    """Whether a document has the marks of another system's format."""
    return _kind(data) is not None


def read(data: Any, places: Places) -> Flow | list[Mistake]:
    """Says what the document looks like; reads none of it."""
    text = f"this looks like {_kind(data)}; this version reads only the native format, "
    return [Mistake(places.line(), text + "with 'name' and 'stages'")]


def _kind(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    return next((kind for kind, is_kind in _KINDS.items() if is_kind(data)), None)
