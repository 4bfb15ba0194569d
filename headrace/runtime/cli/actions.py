"""`headrace actions`."""

import inspect
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@click.command(cls=Command, examples=["headrace actions", "headrace schema filter"])
@common_options
def actions(as_json: bool) -> None:
    """List the installed actions: what a stage's `action` may be.

    Packages offer actions through the entry-point group `headrace.actions`.
    """
    from headrace.runtime.actions import installed_actions
    from headrace.runtime.cli.output import print_json, print_table, stdout

    found = [_described(name, point) for name, point in sorted(installed_actions().items())]
    if as_json:
        print_json({"actions": found})
        return
    rows = [
        (each["name"], each["shape"], each["summary"] or each["error"], each["package"])
        for each in found
    ]
    print_table(stdout(), ["action", "shape", "what it does", "from"], rows)


def _described(name: str, point: "EntryPoint") -> dict[str, Any]:
    """One action; one that cannot be imported says why."""
    from headrace.runtime.actions import load_action
    from headrace.runtime.errors import SettingsError

    package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    described: dict[str, Any] = {
        "name": name,
        "shape": "",
        "summary": "",
        "package": package,
        "class": point.value,
        "error": None,
    }
    try:
        action = load_action(name)
    except SettingsError as error:
        return described | {"error": str(error)}
    lines = (inspect.getdoc(action) or "").splitlines()
    return described | {"shape": _shape(action), "summary": lines[0] if lines else ""}


def _shape(action: type) -> str:
    from headrace.runtime.contracts.action import (
        InlineAction,
        KeyedAction,
        TriggerAction,
    )
    from headrace.runtime.contracts.call import BatchAction

    shapes = {
        "trigger": TriggerAction,
        "inline": InlineAction,
        "batch": BatchAction,
        "keyed": KeyedAction,
    }
    return next((name for name, shape in shapes.items() if issubclass(action, shape)), "")
