"""`headrace validate`."""

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options, paths_argument


@click.command(cls=Command, examples=["headrace validate flows/ more/orders.yaml"])
@paths_argument(is_required=True)
@common_options
def validate(paths: tuple[str, ...], as_json: bool) -> None:
    """Check flows, and report every mistake of every document with its line.

    PATHS are files and folders of flow documents. Nothing is connected to. Exits with 3 when a flow is wrong.
    """
    from headrace.runtime.cli.output import plural, print_json, stdout
    from headrace.runtime.cli.planning import plans_of

    plans = plans_of(paths)
    if as_json:
        print_json(
            {
                "ok": True,
                "flows": [
                    {
                        "name": plan.name,
                        "group": plan.group,
                        "place": plan.graph.flow.place("name"),
                        "enabled": plan.graph.flow.enabled,
                        "stages": len(plan.graph.nodes),
                        "sub_topologies": len(plan.sub_topologies),
                        "warnings": list(plan.warnings),
                    }
                    for plan in plans
                ],
            }
        )
        return
    console = stdout()
    for plan in plans:
        stages = plural(len(plan.graph.nodes), "stage")
        subs = len(plan.sub_topologies)
        fused = f"{subs} sub-topolog{'y' if subs == 1 else 'ies'}"
        off = "" if plan.graph.flow.enabled else ", not enabled"
        console.print("ok", style="green", end="")
        console.print(f"  {plan.name}: {stages} in {fused}{off}", soft_wrap=True)
        for warning in plan.warnings:
            console.print(f"    warning: {warning}", style="yellow", soft_wrap=True)
