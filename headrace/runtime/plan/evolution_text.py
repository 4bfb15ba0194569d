"""What becomes of the state of flows, as text for people and as plain data for other programs."""

from collections.abc import Sequence
from typing import Any

from headrace.runtime.plan.evolution import Change, Evolution


def evolution_text(found: Sequence[Evolution], against: str) -> str:
    """A block of lines per flow and a verdict, without a newline at the end."""
    blocks = [_block(one, against) for one in found]
    return "\n\n".join([*blocks, _verdict(found)])


def _block(one: Evolution, against: str) -> str:
    head = f"flow {one.flow} against {against}"
    if one.is_new:
        head += ": was not there"
    elif one.is_gone:
        head += ": is not there any more"
    if not one.changes:
        return f"{head}\n  no stage has state"
    name_width = max(len(change.stage) for change in one.changes)
    status_width = max(len(change.status) for change in one.changes)
    lines = [head]
    for change in one.changes:
        start = f"  {change.status:<{status_width}}  {change.stage:<{name_width}}"
        lines.append(f"{start}  {change.text}".rstrip())
        if change.remedy:
            lines.append(f"  {'':<{status_width}}  {'':<{name_width}}  {change.remedy}")
    return "\n".join(lines)


def _verdict(found: Sequence[Evolution]) -> str:
    refused = [
        f"'{change.stage}' of flow '{one.flow}'"
        for one in found
        for change in one.changes
        if change.is_refused
    ]
    if refused:
        return f"a worker would refuse to start: {', '.join(refused)}"
    return "workers can go on with it"


def evolution_document(found: Sequence[Evolution], against: str) -> dict[str, Any]:
    """The same as mappings and lists."""
    return {
        "against": against,
        "can_roll_out": all(one.can_roll_out for one in found),
        "flows": [
            {
                "flow": one.flow,
                "group": one.group,
                "is_new": one.is_new,
                "is_gone": one.is_gone,
                "can_roll_out": one.can_roll_out,
                "stages": [_change(change) for change in one.changes],
            }
            for one in found
        ],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "stage": change.stage,
        "status": change.status,
        "text": change.text,
        "remedy": change.remedy,
        "topics": list(change.topics),
    }
