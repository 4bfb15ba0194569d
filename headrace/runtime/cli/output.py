"""Where commands write to: data to stdout, progress and messages to stderr."""

from collections.abc import Sequence

import click
import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Cell = str | Text


def stdout() -> Console:
    """For data. Colours only on a terminal, and never with NO_COLOR."""
    return Console(highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """For progress and messages."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(document: object) -> None:
    """One JSON document on stdout, indented."""
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def print_json_line(document: object) -> None:
    """One JSON document on one line of stdout, at once."""
    click.echo(orjson.dumps(document))


def print_table(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: str = ""
) -> None:
    """Aligned columns that are never wrapped or cut off, so that other programs can read them.

    `numbers` has one character per column: `>` for one that is aligned to the right.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    heads = [Text(heading, style="bold") for heading in headings]
    widths = [max(cell_len(row[i].plain) for row in [heads, *cells]) for i in range(len(headings))]
    for row in [heads, *cells]:
        line = Text()
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cell_len(cell.plain))
            line += Text("  " if i else "")
            line += Text(gap) + cell if numbers[i : i + 1] == ">" else cell + Text(gap)
        line.rstrip()
        console.print(line, soft_wrap=True)


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else cell.copy()


def count(number: int | None) -> str:
    """A number for people: `1,234,567`, or `-` when it is not known."""
    return "-" if number is None else f"{number:,}"


def plural(number: int, word: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")
