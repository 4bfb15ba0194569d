"""URLs with `${...}` in them: what a record puts into one can change neither its host nor its structure."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import quote, urlsplit

from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Template
from headrace.runtime.expression.scan import end_of_embedded

_FIXED: Final = frozenset({"env", "secret", "secrets", "flow"})
_AUTHORITY_END: Final = re.compile(r"[/?#]")
_IN_HOST: Final = ":[]"


class UrlTemplate:
    """The text of a URL, cut at its `${...}`.

    An expression at the very beginning gives the beginning of the URL as it is, such as `${env.API}/orders`. All others
    are percent-encoded, so that `/`, `?` and `&` in a record stay what they are: data. Where the environment names the
    whole host, as in `http://${env.HOST}/orders`, it may name the port with it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        """As the document has it, which messages may show: it holds no value."""
        self._pieces = list(_pieces(text))
        self._hosts = frozenset(n for n in range(len(self._pieces)) if self._is_host(n))

    def arguments(self, prefix: str = "url") -> dict[str, Template]:
        """What must be computed of a record, for `of`."""
        return {
            f"{prefix}_{number}": piece
            for number, piece in enumerate(self._pieces)
            if isinstance(piece, Template)
        }

    def of(self, arguments: Mapping[str, Any], prefix: str = "url") -> str:
        """The URL for the values of `arguments`.

        Raises:
            RecordError: an expression gave no text and no number, or the URL is none.
        """
        text = self.filled(arguments, prefix)
        check_url(text)
        return text

    def filled(self, arguments: Mapping[str, Any], prefix: str = "url") -> str:
        """The same for URLs of any kind, such as those of databases.

        Raises:
            RecordError: an expression gave no text and no number.
        """
        return "".join(
            piece
            if isinstance(piece, str)
            else _spelled(
                arguments[f"{prefix}_{number}"],
                prefix,
                is_beginning=number == 0,
                safe=_IN_HOST if number in self._hosts else "",
            )
            for number, piece in enumerate(self._pieces)
        )

    def _is_host(self, number: int) -> bool:
        """Whether a piece is a whole host, and no record has a part in it."""
        piece = self._pieces[number]
        if number == 0 or not isinstance(piece, Template) or not piece.reads <= _FIXED:
            return False
        before = self._pieces[number - 1]
        behind = self._pieces[number + 1] if number + 1 < len(self._pieces) else "/"
        if not isinstance(before, str) or not isinstance(behind, str):
            return False
        path = "".join("x" if isinstance(p, Template) else p for p in self._pieces[:number])
        is_authority = not _AUTHORITY_END.search(path.partition("://")[2])
        return (
            is_authority
            and before.endswith(("://", "@"))
            and _AUTHORITY_END.match(behind) is not None
        )

    @property
    def is_host_fixed(self) -> bool:
        """Whether the host is the same for all records."""
        for number, piece in enumerate(self._pieces):
            if isinstance(piece, Template):
                if not piece.reads <= _FIXED:
                    return False
            elif _AUTHORITY_END.search(piece.partition("://")[2] if number == 0 else piece):
                return True
        return True


def _pieces(text: str) -> Iterator[str | Template]:
    literal, at = "", 0
    while at < len(text):
        if text.startswith("$${", at):
            literal += "${"
            at += 3
        elif text.startswith("${", at):
            if literal:
                yield literal
            literal = ""
            end = end_of_embedded(text, at + 2)
            yield Template.parse(text[at : end + 1])
            at = end + 1
        else:
            literal += text[at]
            at += 1
    if literal:
        yield literal


def _spelled(value: Any, field: str, *, is_beginning: bool, safe: str) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        kind = "null" if value is None else type(value).__name__
        raise RecordError(f"{field}: an expression in it gave {kind}; text or a number is needed")
    if is_beginning:
        return str(value)
    encoded = quote(str(value), safe=safe)
    if encoded in (".", ".."):
        # A step of a path that goes up; percent-encoding does not help, since "." stays what it is.
        raise RecordError(
            f"{field}: an expression in it gave '.' or '..', which is no name in a path"
        )
    return encoded


def check_url(url: str) -> None:
    """Accept what a request can be sent to.

    Raises:
        RecordError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or any(c <= " " or c == "\x7f" for c in url):
        raise RecordError("url: must be an absolute URL such as https://api.example.com/orders")


def origin_of(url: str) -> str:
    """Scheme, host and port: what a circuit breaker and messages call it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def is_allowed(url: str, hosts: list[str]) -> bool:
    """Whether a list of hosts, in which `*` stands for anything, has the host of this URL."""
    host = (urlsplit(url).hostname or "").lower()
    return any(fnmatchcase(host, pattern.lower()) for pattern in hosts)
