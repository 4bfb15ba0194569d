"""Reference pages, made from the classes: `python -m headrace.runtime.reference docs` writes them into a folder."""

import sys
from collections.abc import Mapping
from datetime import timedelta
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from headrace.runtime.actions import installed_actions, load_action
from headrace.runtime.contracts.action import TriggerAction
from headrace.runtime.duration import format_duration
from headrace.runtime.settings import WorkerSettings

NOTE = "<!-- Made by `python -m headrace.runtime.reference docs`; change the classes. -->"


def settings_page() -> str:
    """The settings of a worker as Markdown."""
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        "Each is a keyword argument of `Worker`, a key of `headrace.yaml`, an option or `--set` of `headrace run`,",
        "and a variable of the environment (`HEADRACE_` and the name in capitals). Durations are written like",
        "`500ms`, `5s`, `1m30s`, `2h`.",
        "",
        *_table(WorkerSettings),
    ]
    return "\n".join(lines) + "\n"


def actions_page() -> str:
    """The actions of headrace itself as Markdown."""
    lines = ["# Actions", "", NOTE, ""]
    for name, point in sorted(installed_actions().items()):
        if not point.value.startswith("headrace."):
            continue
        action = load_action(name)
        kind = "trigger; " if issubclass(action, TriggerAction) else ""
        lines += [f"## {name}", "", f"{kind}{cleandoc(action.__doc__ or '')}", ""]
        if action.Config.model_fields:
            lines += [*_table(action.Config), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(model: type[BaseModel]) -> list[str]:
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {_default(field.default, field.default_factory)} | {text} |")
    return rows


def _default(value: Any, factory: Any) -> str:
    if factory is not None:
        return "" if factory is not dict else "`{}`"
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    return (
        ""
        if value in (None, (), [])
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


PAGES: Mapping[str, Any] = {"settings.md": settings_page, "actions.md": actions_page}


def main() -> None:
    """Write all pages into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
