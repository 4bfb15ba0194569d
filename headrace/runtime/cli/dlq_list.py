"""`headrace dlq ls` and `headrace dlq show`."""

import heapq
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.letters import box_of, choice_of, choice_options
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.deadletters import Letter
    from headrace.runtime.deadletters.ledger import Done

    Listed = tuple[int, int, int, Letter, Done | None]

ERROR_WIDTH = 90


@click.command(
    cls=Command,
    examples=[
        "headrace dlq ls orders",
        "headrace dlq ls orders --stage totals --error 'no field' --since 1h --json",
    ],
)
@flow_argument
@choice_options
@click.option(
    "--limit",
    type=click.IntRange(0, 100_000),
    default=20,
    show_default=True,
    help="How many to list at most: the latest.",
)
@click.option("--all", "includes_done", is_flag=True, help="Also those that are dealt with.")
@settings_options
@common_options
def ls(
    flow: str,
    flows: tuple[str, ...],
    limit: int,
    includes_done: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """List the dead letters of FLOW, and how many there are per stage and kind of error.

    FLOW is the flow's name, or its document.
    """
    from headrace.runtime.cli.output import print_json

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    choice = choice_of(includes_done=includes_done, **chosen)
    counts: Counter[tuple[str, str]] = Counter()
    latest: list[Listed] = []
    with box_of(flow, flows, settings) as box:
        for letter, became in box.letters(choice):
            counts[letter.stage, letter.error_type] += 1
            found = (letter.failed_at_ms, letter.partition, letter.offset, letter, became)
            if len(latest) < limit:
                heapq.heappush(latest, found)
            elif limit:
                heapq.heappushpop(latest, found)
    if as_json:
        print_json(
            {
                "letters": [_document(*found[3:]) for found in sorted(latest)],
                "counts": [
                    {"stage": stage, "type": kind, "count": n}
                    for (stage, kind), n in counts.most_common()
                ],
            }
        )
    else:
        _print_text(sorted(latest), counts, includes_done=includes_done)


def _document(letter: "Letter", became: "Done | None") -> dict[str, object]:
    return {**letter.as_dict(), "done": vars(became) if became else None}


def _print_text(
    latest: "list[Listed]", counts: "Counter[tuple[str, str]]", *, includes_done: bool
) -> None:
    from headrace.runtime.cli.moment import text_of_moment
    from headrace.runtime.cli.output import count, plural, print_table, stdout

    console = stdout()
    if not counts:
        console.print("no dead letters")
        return
    rows = [
        [
            letter.id,
            text_of_moment(letter.failed_at_ms),
            _printable(letter.stage) or "-",
            _printable(f"{letter.source}@{letter.source_offset}") if letter.source else "-",
            *([became.how if became else "-"] if includes_done else []),
            _one_line(f"{letter.error_type}: {letter.error}"),
        ]
        for *_, letter, became in latest
    ]
    headings = ["id", "failed at (UTC)", "stage", "record"]
    if rows:
        print_table(console, [*headings, *(["done"] if includes_done else []), "error"], rows)
        console.print()
    table = [
        [_printable(stage) or "-", _printable(kind) or "-", count(n)]
        for (stage, kind), n in counts.most_common()
    ]
    print_table(console, ["stage", "error", "letters"], table, "  >")
    left = counts.total() - len(rows)
    if left and rows:
        console.print(f"\n{plural(left, 'older letter')} not listed; see --limit and the filters")


def _one_line(text: str) -> str:
    line = _printable(" ".join(text.split()))
    return line if len(line) <= ERROR_WIDTH else f"{line[: ERROR_WIDTH - 3]}..."


def _printable(text: str) -> str:
    """A text whose control characters do nothing to a terminal; it may come from anybody."""
    return "".join(c if c.isprintable() or c == " " else f"\\x{ord(c):02x}" for c in text)


@click.command(cls=Command, examples=["headrace dlq show orders 0-17"])
@flow_argument
@click.argument("id")
@settings_options
@common_options
def show(
    flow: str,
    flows: tuple[str, ...],
    id: str,  # noqa: A002 # the word for it
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Show the dead letter ID of FLOW with everything it carries."""
    from headrace.runtime.cli.output import print_json

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    with box_of(flow, flows, settings) as box:
        letter, became = box.letter(id)
    if as_json:
        print_json(_document(letter, became))
    else:
        _print_letter(letter, became)


def _print_letter(letter: "Letter", became: "Done | None") -> None:
    import orjson

    from headrace.runtime.cli.moment import text_of_moment
    from headrace.runtime.cli.output import print_table, stdout
    from headrace.runtime.deadletters.letter import shown

    console = stdout()
    rows = [
        ["id", letter.id],
        ["stage", f"{letter.stage or '-'} ({letter.told('action') or 'no action told'})"],
        ["error", f"{letter.error_type}: {letter.error}"],
        ["failed at", f"{text_of_moment(letter.failed_at_ms)} UTC"],
        ["record", f"{letter.source}@{letter.source_offset}" if letter.source else "-"],
        ["record time", f"{text_of_moment(letter.source_timestamp_ms)} UTC"],
        ["run", letter.told("run") or "-"],
        ["flow version", letter.told("flow-version") or "-"],
        ["key", shown(letter.key) or "-"],
        *([f"header {name}", shown(value) or ""] for name, value in letter.user_headers),
        *([["edited from", letter.told("edited")]] if letter.is_edited else []),
        *([["done", f"{became.how} at {text_of_moment(became.at_ms)} UTC"]] if became else []),
    ]
    print_table(console, ["what", ""], [[_printable(cell) for cell in row] for row in rows])
    document = letter.as_dict()
    for name in ("results", "value"):
        if document[name] is not None:
            text = orjson.dumps(document[name], option=orjson.OPT_INDENT_2).decode()
            console.print(f"\n{name}\n{text}", soft_wrap=True)
    if document["value_bytes_omitted"]:
        console.print(
            f"\nits value of {document['value_bytes_omitted']:,} bytes was too large to repeat here; see the record",
            soft_wrap=True,
        )
