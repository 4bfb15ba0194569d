"""Commands that are about one flow: which one is meant."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from headrace.runtime.flow import Flow
    from headrace.runtime.plan import Plan

Command = TypeVar("Command", bound=Callable[..., Any])


def flow_argument(command: Command) -> Command:
    """`FLOW`, and where its document is; the arguments are `flow` and `flows`."""
    command = click.option(
        "--flows",
        multiple=True,
        metavar="PATH",
        help="Where the flow's document is, if FLOW is its name.  [default: the current folder]",
    )(command)
    return click.argument("flow")(command)


def plan_of_flow(flow: str, paths: Sequence[str], prefix: str) -> "Plan":
    """The plan of a flow by its name, or by its document where that holds but one.

    Raises:
        FlowError: with every problem of the document.
    """
    from headrace.runtime.cli.planning import plans_of
    from headrace.runtime.flow import did_you_mean
    from headrace.runtime.graph import check_flow
    from headrace.runtime.plan import build_plan

    if not paths and Path(flow).exists():
        found = plans_of([flow], prefix)
        if len(found) == 1:
            return found[0]
        told = ", ".join(f"'{plan.name}'" for plan in found)
        raise click.UsageError(f"{flow} holds {told}; name one of them, with --flows {flow}")
    flows = _flows_of(flow, list(paths) or ["."])
    for one in flows:
        if flow in (one.name, one.slug):
            return build_plan(check_flow(one), prefix)
    names = [one.name for one in flows]
    where = ", ".join(paths) or "the current folder"
    raise click.UsageError(
        f"there is no flow '{flow}' in {where}{did_you_mean(flow, names) or '; there are ' + ', '.join(names)}"
    )


def _flows_of(name: str, paths: Sequence[str]) -> "Sequence[Flow]":
    """The flows of files and folders. What is wrong with other documents does not matter where this one is found."""
    from headrace.runtime.errors import FlowError
    from headrace.runtime.flow import Flow, load_flows

    try:
        return load_flows(paths)
    except FlowError as error:
        wrong = {problem.place.rpartition(":")[0] or problem.place for problem in error.problems}
        for one in error.readable:
            if isinstance(one, Flow) and name in (one.name, one.slug):
                if one.place("name").rpartition(":")[0] in wrong:
                    break
                return [one]
        raise
