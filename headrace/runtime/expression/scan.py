"""The first look at an expression's text, before Python's parser sees it.

It rewrites what headrace adds to Python's grammar into Python of exactly the same length, so that columns stay true, and
names the mistakes that people bring along from other languages, where Python's parser would only say "invalid syntax".
"""

import keyword
import re
import sys
import unicodedata
from typing import Final

from headrace.runtime.expression.errors import ExpressionError
from headrace.runtime.expression.limits import DEPTH_MAX

SAFE_MARK: Final = (
    "\ua66e"  # begins a field's name after `?.`; a letter that no living language uses
)

_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"0[xXoObB]\w+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?")
_QUOTES = "\"'"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_FOREIGN: Final = (
    ("&&", "use 'and' in place of '&&'"),
    ("||", "use 'or' in place of '||'"),
    ("===", "use '==' in place of '==='"),
    ("!==", "use '!=' in place of '!=='"),
    ("<>", "use '!=' in place of '<>'"),
    ("??", "use coalesce(a, b) in place of '??'"),
    ("?[", "'?' goes with a field name: event?.name, or get(event, \"name\")"),
    (":=", "an expression cannot assign; a stage with `set` can give a value a name"),
    ("=>", "an expression cannot define a function; >= compares"),
    ("->", "an expression cannot define a function"),
    ("++", "there is no '++'; write a + b"),
    ("<<", "there is no '<<'; multiply by 2 ** n"),
    ("`", "text is written in \" or ' quotes"),
    ("\u201c", "text is written in straight quotes, \" or '"),
    ("\u201d", "text is written in straight quotes, \" or '"),
    ("\u2018", "text is written in straight quotes, \" or '"),
    ("\u2019", "text is written in straight quotes, \" or '"),
    ("#", "an expression cannot hold a comment; put it on a line of the document"),
    (";", "an expression is one value; ';' has no place in it"),
    ("\\", "a backslash belongs into text; an expression may go over several lines without it"),
    ("@", "there is no '@'"),
    ("$", "names are written without '$' inside of an expression: event.name"),
    ("?", "'?' is only part of `a?.b`; a choice is written `x if condition else y`"),
)


def rewrite(text: str) -> str:
    """The text as Python, of the same length and on one line.

    `a?.b` gets a mark in the field's name, and fields named like Python's keywords (`event.from`) get a first letter that Python
    reads as the same letter but not as the keyword.

    Raises:
        ExpressionError: for what cannot be Python anyhow, with what to write in its place.
    """
    scan = _Scan(text)
    scan.run()
    return "".join(scan.output)


def end_of_embedded(text: str, start: int) -> int:
    """The index of the `}` that closes the `${` whose expression begins at `start`.

    Raises:
        ExpressionError: when there is none, or something before it is wrong.
    """
    scan = _Scan(text, start, is_embedded=True)
    return scan.run()


class _Scan:
    """One pass over a text. `output` holds as many characters as were read."""

    def __init__(self, text: str, start: int = 0, *, is_embedded: bool = False) -> None:
        self.text = text
        self.at = start
        self.output: list[str] = []
        self._is_embedded = is_embedded
        self._open: list[tuple[str, int, bool]] = []  # bracket, offset, whether it opens a call
        self._previous = ""  # the last token that is not space
        self._before_previous = ""
        self._outer_quotes = ""  # of the f-strings around us

    def fail(self, message: str, at: int | None = None) -> ExpressionError:
        return ExpressionError(message, self.text, self.at if at is None else at)

    def run(self) -> int:
        text = self.text
        while self.at < len(text):
            character = text[self.at]
            if self._is_embedded and character == "}" and not self._open:
                return self.at
            self._step(character)
        if self._open:
            bracket, at, _ = self._open[-1]
            raise self.fail(f"'{bracket}' is never closed", at)
        if self._is_embedded:
            raise self.fail("'${' is never closed with '}'")
        return self.at

    def _step(self, character: str) -> None:
        if character.isspace():
            self.output.append(" ")
            self.at += 1
        elif match := _WORD.match(self.text, self.at):
            self._word(match.group())
        elif character.isdigit() or (character == "." and self._begins_number()):
            number = _NUMBER.match(self.text, self.at)
            self._emit(number.group() if number else character)
        elif character in _QUOTES:
            self._string(is_formatted=False)
        elif character in "([{":
            self._open_bracket(character)
        elif character in ")]}":
            self._close_bracket(character)
        else:
            self._operator(character)

    def _begins_number(self) -> bool:
        following = self.text[self.at + 1 : self.at + 2]
        return following.isdigit() and not (
            self._previous[-1:].isalnum() or self._previous[-1:] in ")]}_"
        )

    def _emit(self, token: str, written: str | None = None) -> None:
        self.output.append(token if written is None else written)
        self.at += len(token)
        self._before_previous, self._previous = self._previous, token

    def _word(self, word: str) -> None:
        following = self.text[self.at + len(word) : self.at + len(word) + 1]
        if following and following in _QUOTES:
            self._prefixed_string(word)
            return
        if SAFE_MARK in word:
            raise self.fail(f"the letter '{SAFE_MARK}' cannot be part of a name")
        if unicodedata.normalize("NFKC", word) != word:
            raise self.fail(f'write such a name in quotes: ["{word}"]')
        if self._previous == "?.":
            # The dot took one of the two columns of `?.`; the mark, set before the name, takes the other.
            self._emit(word, SAFE_MARK + word)
        elif self._previous == "." and keyword.iskeyword(word):
            self._emit(word, _disguise(word))
        else:
            self._emit(word)

    def _prefixed_string(self, prefix: str) -> None:
        kinds = set(prefix.lower())
        if "b" in kinds and kinds <= {"b", "r"}:
            raise self.fail("there are no bytes in expressions; leave the 'b' out")
        if not kinds <= {"f", "r"} and kinds != {"u"}:
            raise self.fail(f"an operator is missing between '{prefix}' and the text")
        self.output.append(prefix)
        self.at += len(prefix)
        self._string(is_formatted="f" in kinds)

    def _string(self, *, is_formatted: bool) -> None:
        text, start = self.text, self.at
        quote = text[start]
        if text.startswith(quote * 3, start):
            raise self.fail(
                f"text is written in single quotes ({quote}...{quote}), with \\n for a new line"
            )
        if quote in self._outer_quotes:
            raise self.fail("use the other kind of quotes inside of {...}")
        self.output.append(quote)
        self.at += 1
        while True:
            character = text[self.at : self.at + 1]
            if character in {"", "\n"}:
                raise self.fail("the text that begins here is never closed", start)
            if character == "\\":
                if self._outer_quotes:
                    raise self.fail("a backslash cannot be used inside of {...} of an f-string")
                self._copy(2)
            elif character == quote:
                break
            elif is_formatted and character in "{}":
                self._formatted_brace(quote, character)
            else:
                self._copy(1)
        self._copy(1)
        self._before_previous, self._previous = self._previous, quote

    def _copy(self, count: int) -> None:
        piece = self.text[self.at : self.at + count]
        if "\n" in piece:
            raise self.fail("write \\n for a new line in text")
        self.output.append(piece)
        self.at += len(piece)

    def _formatted_brace(self, quote: str, brace: str) -> None:
        if self.text.startswith(brace * 2, self.at):
            self._copy(2)
            return
        if brace == "}":
            raise self.fail("a single '}' in an f-string is written '}}'")
        self._copy(1)
        inner = _Scan(self.text, self.at)
        inner._outer_quotes = self._outer_quotes + quote
        end = inner.formatted_value()
        self.output.extend(inner.output)
        self.at = end

    def formatted_value(self) -> int:
        """Read `value}`, `value!r}` or `value:spec}`; returns the index after the closing brace."""
        text = self.text
        start = self.at
        while True:
            character = text[self.at : self.at + 1]
            if not character or character in self._outer_quotes:
                raise self.fail("'{' is never closed with '}'", start - 1)
            if not self._open and character == "}":
                self._copy(1)
                return self.at
            if not self._open and character == "!" and not text.startswith("!=", self.at):
                raise self.fail(
                    "'!r', '!s' and '!a' are not available; use str(...) or to_json(...)"
                )
            if not self._open and character == ":":
                break
            self._step(character)
        while (character := text[self.at : self.at + 1]) != "}":
            if not character or character in self._outer_quotes:
                raise self.fail("'{' is never closed with '}'", start - 1)
            if character == "{":
                raise self.fail("a format must be written out; it cannot hold {...}")
            self._copy(1)
        self._copy(1)
        return self.at

    def _open_bracket(self, bracket: str) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise self.fail(f"brackets are nested deeper than {DEPTH_MAX} levels")
        last = self._previous
        is_call = bracket == "(" and (
            last in {")", "]"}
            or (_WORD.fullmatch(last) is not None and not keyword.iskeyword(last))
        )
        self._open.append((bracket, self.at, is_call))
        self._emit(bracket)

    def _close_bracket(self, bracket: str) -> None:
        if not self._open:
            raise self.fail(f"'{bracket}' closes nothing")
        opening, at, _ = self._open.pop()
        if _CLOSING[opening] != bracket:
            raise self.fail(f"'{bracket}' does not close the '{opening}' at column {at + 1}")
        self._emit(bracket)

    def _operator(self, character: str) -> None:
        text, at = self.text, self.at
        if text.startswith("?.", at):
            if not _WORD.match(text, at + 2):
                raise self.fail("'?.' is followed by the name of a field, without a space")
            self._emit("?.", ".")
            return
        for symbol, message in _FOREIGN:
            if text.startswith(symbol, at):
                raise self.fail(message)
        pair = text[at : at + 2]
        if pair in {"==", "!=", "<=", ">=", "**", "//", ">>"}:
            self._emit(pair)
        elif character == "!":
            raise self.fail("use 'not' in place of '!'")
        elif character == "=":
            is_keyword = (
                bool(self._open)
                and self._open[-1][2]
                and _WORD.fullmatch(self._previous) is not None
                and self._before_previous in {"(", ","}
            )
            if not is_keyword:
                raise self.fail("use '==' to compare; an expression cannot assign")
            self._emit("=")
        elif character in "+-*/%,.:<>&|^~":
            self._emit(character)
        else:
            code = f"U+{ord(character):04X}"
            shown = f"'{character}'" if character.isprintable() else code
            raise self.fail(f"{shown} has no place in an expression")


def _disguise(word: str) -> str:
    """The keyword with its first letter in mathematical bold, which Python's parser normalises (NFKC) to the plain letter."""
    first = word[0]
    begin = 0x1D400 if first.isupper() else 0x1D41A
    return sys.intern(chr(begin + ord(first.lower()) - ord("a")) + word[1:])
