"""`headrace dlq edit`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.letters import box_of
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.deadletters import Letter


@click.command(
    cls=Command,
    examples=[
        "headrace dlq edit orders 0-17",
        "headrace dlq edit orders 0-17 --field amount=12.5 --field user.name=ann --remove note",
        "headrace dlq edit orders 0-17 --value @mended.json",
    ],
)
@flow_argument
@click.argument("id")
@click.option("--value", metavar="JSON|@FILE", help="The new value as a whole.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="PATH=VALUE",
    help="Set a field; VALUE is JSON, or else text. PATH is like user.name or lines.0.price.",
)
@click.option("--remove", "removed", multiple=True, metavar="PATH", help="Remove a field.")
@click.option("--raw", is_flag=True, help="The value need not be JSON.")
@settings_options
@common_options
def edit(
    flow: str,
    flows: tuple[str, ...],
    id: str,  # noqa: A002 # the word for it
    value: str | None,
    fields: tuple[str, ...],
    removed: tuple[str, ...],
    raw: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Change the value of the dead letter ID of FLOW: with the options, or else in your $EDITOR.

    The letter is written anew under another id, and the old one is marked as dealt with; `headrace dlq ls --all` still lists it.
    """
    from headrace.runtime.cli.given_value import bytes_of
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.deadletters.change import edit as write

    if value is not None and (fields or removed):
        raise click.UsageError("--value gives all of it; leave --field and --remove out")
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    with box_of(flow, flows, settings) as box:
        letter, became = box.letter(id)
        if became is not None:
            raise click.ClickException(f"dead letter {id} is {became.how} already")
        if value is not None:
            edited = bytes_of(value)
        elif fields or removed:
            edited = _with_fields(letter, fields, removed)
        else:
            edited = _in_editor(letter)
        if not raw:
            edited = _as_json(edited)
        if edited == letter.value:
            raise click.ClickException("nothing was changed")
        written = write(box, letter, edited)
    if as_json:
        print_json(written.as_dict())
    else:
        click.echo(
            f"{id} is {written.id} now; send it back with headrace dlq replay {flow} {written.id}"
        )


def _as_json(value: bytes) -> bytes:
    import orjson

    try:
        return orjson.dumps(orjson.loads(value))
    except orjson.JSONDecodeError as error:
        raise click.ClickException(
            f"the new value is no JSON: {error}; --raw takes it all the same"
        ) from None


def _in_editor(letter: "Letter") -> bytes:
    import orjson

    try:
        text = orjson.dumps(orjson.loads(letter.value or b""), option=orjson.OPT_INDENT_2).decode()
        suffix = ".json"
    except orjson.JSONDecodeError:
        try:
            text, suffix = (letter.value or b"").decode(), ".txt"
        except UnicodeDecodeError:
            raise click.ClickException(
                "the value is no text; --value @FILE --raw replaces it"
            ) from None
    edited = click.edit(text, extension=suffix)
    if edited is None:
        raise click.ClickException("nothing was changed: the editor saved nothing")
    return edited.encode()


def _with_fields(letter: "Letter", fields: Sequence[str], removed: Sequence[str]) -> bytes:
    import orjson

    from headrace.runtime.cli.given_value import json_of

    value = json_of(letter.value or b"", "the value of the letter")
    for text in fields:
        path, equals, given = text.partition("=")
        if not equals:
            raise click.UsageError(f"--field {text!r} must be PATH=VALUE")
        try:
            new: Any = orjson.loads(given)
        except orjson.JSONDecodeError:
            new = given
        _set(value, path.split("."), new)
    for path in removed:
        _remove(value, path.split("."))
    return orjson.dumps(value)


def _set(value: Any, path: Sequence[str], new: Any) -> None:
    holder = _holder(value, path)
    try:
        holder[_step(holder, path[-1])] = new
    except IndexError:
        raise _no_place(path) from None


def _remove(value: Any, path: Sequence[str]) -> None:
    holder = _holder(value, path)
    try:
        del holder[_step(holder, path[-1])]
    except (KeyError, IndexError):
        raise _no_place(path) from None


def _holder(value: Any, path: Sequence[str]) -> Any:
    """What holds the field at the end of a path."""
    for name in path[:-1]:
        try:
            value = value[_step(value, name)]
        except (KeyError, IndexError):
            raise _no_place(path) from None
    if not isinstance(value, dict | list):
        raise _no_place(path)
    return value


def _step(value: Any, name: str) -> str | int:
    if isinstance(value, list) and name.isdigit():
        return int(name)
    if isinstance(value, dict):
        return name
    raise KeyError(name)


def _no_place(path: Sequence[str]) -> click.UsageError:
    return click.UsageError(f"the value has no place '{'.'.join(path)}'; see headrace dlq show")
