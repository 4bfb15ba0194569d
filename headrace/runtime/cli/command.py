"""A command whose help shows how it is called."""

from collections.abc import Sequence
from typing import Any

import click


class Command(click.Command):
    """`examples` are complete command lines, shown as they are."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **given: Any) -> None:
        super().__init__(*args, **given)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
