"""What the commands of `headrace dlq` share: which letters, of which flow."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headrace.runtime.cli.moment import MomentType

if TYPE_CHECKING:
    from headrace.runtime.deadletters import Choice, LetterBox
    from headrace.runtime.plan import Plan
    from headrace.runtime.settings import WorkerSettings

Command = TypeVar("Command", bound=Callable[..., Any])


def choice_options(command: Command) -> Command:
    """Which letters; what the command is given is for `choice_of`."""
    for option in reversed(
        [
            click.option("--stage", "stages", multiple=True, help="Those of this stage."),
            click.option(
                "--error",
                metavar="PATTERN",
                help="Those whose `type: message` has this pattern in it.",
            ),
            click.option(
                "--since", type=MomentType(), help="Those that failed then or later: 1h, or a time."
            ),
            click.option(
                "--before", type=MomentType(), help="Those that failed before: 7d, or a time."
            ),
        ]
    ):
        command = option(command)
    return command


def require_choice(
    ids: Sequence[str], chosen: Mapping[str, Any], *, is_all: bool, is_sure: bool, as_json: bool
) -> None:
    """Refuse to do something to all letters that nobody has asked for, or to ask where nobody answers."""
    if not (ids or is_all or any(chosen.values())):
        raise click.UsageError("name letters or choose them by --stage, --error or time, or --all")
    if as_json and not is_sure:
        raise click.UsageError("--json asks nobody; add --yes")


def choice_of(
    *,
    stages: Sequence[str],
    error: str | None,
    since: int | None,
    before: int | None,
    ids: Sequence[str] = (),
    includes_done: bool = False,
) -> "Choice":
    """The letters that the options choose."""
    from headrace.runtime.deadletters import Choice

    try:
        pattern = re.compile(error, re.IGNORECASE) if error is not None else None
    except re.error as wrong:
        raise click.UsageError(f"--error {error!r} is no regular expression: {wrong}") from wrong
    return Choice(
        ids=frozenset(ids),
        stages=frozenset(stages),
        error=pattern,
        since_ms=since,
        before_ms=before,
        includes_done=includes_done,
    )


def box_of(flow: str, flows: Sequence[str], settings: "WorkerSettings") -> "LetterBox":
    """The dead letters of a flow. Its document is looked at only where it is named: the topic's name is made of the flow's."""
    from headrace.runtime.cli.one_flow import plan_of_flow
    from headrace.runtime.flow.model import slug

    if flows or Path(flow).exists():
        return box_of_plan(plan_of_flow(flow, flows, settings.prefix), settings)
    return _box(f"{settings.prefix}.{slug(flow)}.dead-letters", settings)


def box_of_plan(plan: "Plan", settings: "WorkerSettings") -> "LetterBox":
    """The dead letters of a flow whose document is known."""
    if plan.dead_letter_topic is None:
        raise click.UsageError(
            f"flow '{plan.name}' writes no dead letters: no stage of it has on_error: dead_letter"
        )
    return _box(plan.dead_letter_topic, settings)


def _box(topic: str, settings: "WorkerSettings") -> "LetterBox":
    from headrace.runtime import brokers as connecting
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.deadletters import LetterBox

    broker = connecting.connect(settings.engine, settings.brokers, settings.client)
    return LetterBox(broker, settings.client, topic, SystemClock())
