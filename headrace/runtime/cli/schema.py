"""`headrace schema`."""

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options


@click.command(
    cls=Command, examples=["headrace schema > flow.schema.json", "headrace schema publish"]
)
@click.argument("action", required=False)
@common_options
def schema(action: str | None, as_json: bool) -> None:  # noqa: ARG001 # JSON either way
    """Print the JSON Schema of flow documents, or of the `config` of one ACTION.

    Editors check and complete flow documents with it. The output is JSON with and without --json.
    """
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.flow import flow_schema

    if action is None:
        print_json(flow_schema())
        return
    from headrace.runtime.actions import installed_actions, load_action
    from headrace.runtime.flow import did_you_mean

    if action not in installed_actions():
        meant = did_you_mean(action, installed_actions()) or "; `headrace actions` lists all"
        raise click.BadParameter(f"there is no action {action!r}{meant}", param_hint="ACTION")
    print_json({**load_action(action).Config.model_json_schema(), "title": action})
