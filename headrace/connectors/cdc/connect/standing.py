"""What Kafka Connect says of a connector, read.

======================= ==========================================================
what it says            state of the feed
======================= ==========================================================
no task yet, UNASSIGNED starting
RUNNING, all of it      snapshot, or running, by the position that is stored
PAUSED, STOPPED         paused: somebody did that, and headrace leaves it so
FAILED, any part of it  retrying: the failed parts are started again, with pauses
======================= ==========================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Standing = Literal["starting", "running", "paused", "failed"]
_CAUSE = "Caused by: "
_TEXT_MAX = 500


@dataclass(frozen=True)
class ConnectorStatus:
    """How one connector is; `cause` is the root cause of what failed, and may hold secrets."""

    standing: Standing
    state: str
    tasks: int = 0
    tasks_running: int = 0
    tasks_failed: int = 0
    cause: str = ""


def read_status(answer: Mapping[str, Any]) -> ConnectorStatus:
    """What `GET /connectors/<name>/status` answered."""
    connector: Mapping[str, Any] = answer.get("connector") or {}
    tasks: Sequence[Mapping[str, Any]] = answer.get("tasks") or []
    state = str(connector.get("state", "UNASSIGNED"))
    states = [str(task.get("state", "UNASSIGNED")) for task in tasks]
    failed = [one for one in (connector, *tasks) if one.get("state") == "FAILED"]
    standing: Standing = "running"
    if failed:
        standing = "failed"
    elif state in ("PAUSED", "STOPPED"):
        standing = "paused"
    elif state != "RUNNING" or not states or any(one != "RUNNING" for one in states):
        standing = "starting"
    return ConnectorStatus(
        standing=standing,
        state=state,
        tasks=len(states),
        tasks_running=states.count("RUNNING"),
        tasks_failed=states.count("FAILED"),
        cause=root_cause(str(failed[0].get("trace", ""))) if failed else "",
    )


def root_cause(trace: str) -> str:
    """The innermost cause in the text of a Java exception, on one line and without its stack."""
    lines = [line.strip() for line in trace.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("at ", "..."))]
    causes = [line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)]
    text = " ".join((causes or lines or [""])[-1 if causes else 0].split())
    if len(text) <= _TEXT_MAX:
        return text
    # Debezium prints a whole position in the middle of a sentence, and then what to do.
    return f"{text[: _TEXT_MAX // 3]} ... {text[-_TEXT_MAX * 2 // 3 :]}"


def is_in_snapshot(answer: Mapping[str, Any]) -> bool | None:
    """Whether the stored position, out of `GET /connectors/<name>/offsets`, is within a snapshot; None before any is stored.

    Debezium writes `snapshot` into the position while it takes one.
    """
    offsets = [one.get("offset") or {} for one in answer.get("offsets") or []]
    if not offsets:
        return None
    return any(offset.get("snapshot") not in (None, False, "false") for offset in offsets)


def position_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stored position, out of `GET /connectors/<name>/offsets`; empty before any is stored.

    One for each partition of the source, by its names, where there are several.
    """
    found = [one for one in answer.get("offsets") or [] if one.get("offset")]
    if len(found) == 1:
        only: Mapping[str, Any] = found[0]["offset"]
        return only
    return {
        ", ".join(f"{name} {value}" for name, value in (one.get("partition") or {}).items()): one[
            "offset"
        ]
        for one in found
    }
