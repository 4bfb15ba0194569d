"""JSON text to plain data, with the line of every part.

The standard library's parser neither tells lines nor refuses `NaN`, keys given twice or nesting
that exhausts the stack.
"""

import json
import re
from typing import Any, Final

from headrace.runtime.flow.document import (
    NESTING_MAX,
    VALUES_MAX,
    Document,
    Mistake,
    UnreadableError,
    fraction,
    given_twice,
    nested_too_deep,
    too_many_values,
    weight,
    whole_number,
)
from headrace.runtime.flow.places import Path, Places

_TOKEN: Final = re.compile(
    r"""(?P<string>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![\w.]))
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<mark>[][{}:,])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final = {"true": True, "false": False, "null": None}


def read_json(text: str, file: str) -> Document:
    """The one document of a JSON text (RFC 8259).

    Raises:
        UnreadableError: the text is not JSON from some line on, or exceeds a bound.
    """
    return _Parser(text, file).document()


class _Parser:
    """One pass over a text; `_position` is always at the beginning of a token or at the end."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._position = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._mistakes: list[Mistake] = []
        self._values = 0
        self._skip_space()

    def document(self) -> Document:
        self._lines[()] = self._line
        data = self._value((), 0)
        if self._position < len(self._text):
            raise self._expected("the end of the text")
        return Document(data, Places(self._file, self._lines), self._mistakes)

    def _value(self, path: Path, depth: int) -> Any:
        line = self._line
        if depth > NESTING_MAX:
            raise nested_too_deep(line)
        token = _TOKEN.match(self._text, self._position)
        kind = token.lastgroup if token else None
        if token is None or kind == "other":
            raise self._expected("a value")
        text = token.group()
        self._values += weight(text)
        if self._values > VALUES_MAX:
            raise too_many_values(line)
        if text == "{":
            return self._object(path, depth)
        if text == "[":
            return self._array(path, depth)
        if kind == "mark":
            raise self._expected("a value")
        self._advance(token.end())
        if kind == "string":
            return self._string(text, line)
        if kind == "word":
            return self._word(text, line)
        if token.group("fraction"):
            return fraction(text, line, self._mistakes)
        return whole_number(text, line, self._mistakes)

    def _object(self, path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        self._take("{")
        while not self._takes("}"):
            if entries:
                self._take(",")
            line = self._line
            token = _TOKEN.match(self._text, self._position)
            if token is None or token.lastgroup != "string":
                raise self._expected("a key in double quotes")
            self._advance(token.end())
            key = self._string(token.group(), line)
            if key in first_lines:
                self._mistakes.append(given_twice(key, line, first_lines[key]))
            first_lines.setdefault(key, line)
            self._lines[*path, key] = line
            self._take(":")
            entries[key] = self._value((*path, key), depth + 1)
        return entries

    def _array(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        self._take("[")
        while not self._takes("]"):
            if items:
                self._take(",")
            item_path = (*path, len(items))
            self._lines[item_path] = self._line
            items.append(self._value(item_path, depth + 1))
        return items

    def _string(self, token: str, line: int) -> str:
        try:
            text = str(json.loads(token))
            text.encode()
        except json.JSONDecodeError as error:
            raise UnreadableError(line, "the text is not JSON: unknown escape in a text") from error
        except UnicodeEncodeError:
            self._mistakes.append(Mistake(line, "a text holds half of a surrogate pair"))
        return text

    def _word(self, word: str, line: int) -> Any:
        if word in _WORDS:
            return _WORDS[word]
        if word in {"NaN", "Infinity"}:
            self._mistakes.append(Mistake(line, f"{word} is not a number that a flow can hold"))
            return word
        raise UnreadableError(line, f"the text is not JSON: {word!r} must stand in double quotes")

    def _takes(self, mark: str) -> bool:
        """Whether the next token is `mark`, which is then behind us."""
        if not self._text.startswith(mark, self._position):
            return False
        self._advance(self._position + 1)
        return True

    def _take(self, mark: str) -> None:
        if not self._takes(mark):
            raise self._expected(f"'{mark}'")

    def _advance(self, position: int) -> None:
        self._position = position
        self._skip_space()

    def _skip_space(self) -> None:
        while self._position < len(self._text) and self._text[self._position] in " \t\r\n":
            self._line += self._text[self._position] == "\n"
            self._position += 1

    def _expected(self, what: str) -> UnreadableError:
        found = self._text[self._position : self._position + 1]
        return UnreadableError(
            self._line,
            f"the text is not JSON: expected {what}, "
            + (f"found {found!r}" if found else "but the text ends here"),
        )
