"""Statements with parameters that are written `:name`. Values never become part of the text."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      '(?:[^'\\]|''|\\.)*'            # text; a backslash may escape
    | "(?:[^"]|"")*"                  # quoted names
    | `(?:[^`]|``)*`
    | --[^\n]*                        # comments
    | /\*.*?\*/
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ # PostgreSQL's dollar quotes
    | ::                              # PostgreSQL's casts
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


class StatementError(ValueError):
    """The text of a statement cannot be read; says why."""


@dataclass(frozen=True)
class Statement:
    """A statement, cut at its parameters: `texts` has one part more than `names`, which may repeat."""

    text: str
    texts: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Statement":
        """Find the parameters, leaving alone what is in quotes and comments.

        Raises:
            StatementError: it is empty, or uses another way to write parameters.
        """
        if not text.strip().rstrip(";"):
            raise StatementError("the statement is empty")
        if "${" in text:
            raise StatementError(
                "values are never put into the text of a statement; write :name and give it under 'parameters'"
            )
        texts, names, last = [], [], 0
        for match in _TOKEN.finditer(text):
            if match["name"] is not None:
                texts.append(text[last : match.start()])
                names.append(match["name"])
                last = match.end()
        texts.append(text[last:])
        return cls(text, tuple(texts), tuple(names))

    def spelled(self, parameter: Callable[[str], str], *, percent: str = "%") -> str:
        """The text as a driver wants it; `parameter` spells a name, `percent` a literal percent sign."""
        parts = [self.texts[0].replace("%", percent)]
        for name, text in zip(self.names, self.texts[1:], strict=True):
            parts += [parameter(name), text.replace("%", percent)]
        return "".join(parts)
