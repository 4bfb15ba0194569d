"""`headrace dlq`: dead letters."""

import click

from headrace.runtime.cli.lazy_group import Entry, LazyGroup

COMMANDS = "headrace.runtime.cli"
ENTRIES = {
    "ls": Entry(f"{COMMANDS}.dlq_list:ls", "List dead letters, and count them."),
    "show": Entry(f"{COMMANDS}.dlq_list:show", "Show one with everything it carries."),
    "edit": Entry(f"{COMMANDS}.dlq_edit:edit", "Change the value of one."),
    "replay": Entry(f"{COMMANDS}.dlq_replay:replay", "Send them back to where they failed."),
    "purge": Entry(f"{COMMANDS}.dlq_purge:purge", "Give them up."),
}


@click.group(cls=LazyGroup, entries=ENTRIES)
def dlq() -> None:
    """Look at records that failed in a stage with on_error: dead_letter, mend them, and send them back.

    Each of the commands writes JSON with --json.

    \b
    Examples:
      headrace dlq ls orders
      headrace dlq replay flows/orders.yaml --stage totals
    """  # noqa: D301 # click's mark of a paragraph that is not wrapped
