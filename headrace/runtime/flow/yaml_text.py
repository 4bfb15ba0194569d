"""YAML text to plain data, with the line of every part.

Built on the parser's events instead of PyYAML's own construction, which resolves YAML 1.1, forgets
lines, lets the last of two equal keys win and expands aliases without a bound.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

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

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS: Final = "tag:yaml.org,2002:"
_NULL: Final = re.compile(r"(null|Null|NULL|~|)")
_BOOLEAN: Final = re.compile(r"(?:(true|True|TRUE)|false|False|FALSE)")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FRACTION: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_A_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read_yaml(text: str, file: str) -> Iterator[Document]:
    """The documents of a YAML text; `---` begins the next one, and empty ones are left out.

    Plain scalars follow the core schema of YAML 1.2: only `true` and `false` are booleans, so that
    `on`, `off`, `yes` and `no` stay text, and so do dates. Keys are the text they are written as.
    Anchors, aliases and merge keys (`<<`) work; other tags than those of plain data are mistakes.

    Raises:
        UnreadableError: the text is not YAML from some line on, or exceeds a bound.
    """
    events = yaml.parse(text, Loader=_LOADER)
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                document = _Builder(events, file).document()
                if document.data is not None or document.mistakes:
                    yield document
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error, text) from error
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")
        raise UnreadableError(
            before.count("\n") + 1, "the text holds a control character, which YAML does not allow"
        ) from error


def _unreadable(error: yaml.MarkedYAMLError, text: str) -> UnreadableError:
    mark = error.problem_mark or error.context_mark
    # A text that ends too early is reported in the line after its last.
    line = min(mark.line + 1, len(text.splitlines())) if mark else 0
    context = ""
    if error.context and error.context_mark:
        context = f" ({error.context} that begins in line {error.context_mark.line + 1})"
    return UnreadableError(line, f"the text is not YAML: {error.problem}{context}")


class _Builder:
    """Builds one document from the events that follow its start."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._lines: dict[Path, int] = {}
        self._mistakes: list[Mistake] = []
        self._anchors: dict[str, Any] = {}
        self._values = 0

    def document(self) -> Document:
        event = next(self._events)
        self._lines[()] = _line(event)
        data = self._value(event, ())
        return Document(data, Places(self._file, self._lines), self._mistakes)

    def _value(self, event: Any, path: Path, depth: int = 0) -> Any:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(str(event.anchor), line, depth)
        if depth > NESTING_MAX:
            raise nested_too_deep(line)
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        if isinstance(event, yaml.ScalarEvent):
            self._count(weight(event.value), line)
            value = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._count(1, line)
            self._check_tag(event.tag, line, "seq")
            value = self._sequence(path, depth)
        else:
            self._count(1, line)
            self._check_tag(event.tag, line, "map")
            value = self._mapping(path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item_path = (*path, len(items))
            self._lines[item_path] = _line(event)
            items.append(self._value(event, item_path, depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        first_lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            key = self._key(event, line, depth)
            is_merge = key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            if key in first_lines:
                self._mistakes.append(given_twice(key, line, first_lines[key]))
            first_lines.setdefault(key, line)
            entry_path = (*path, key)
            if not is_merge:
                self._lines[entry_path] = line
            value = self._value(next(self._events), entry_path, depth + 1)
            if is_merge:
                merged += self._mergeable(value, line)
            else:
                entries[key] = value
        for mapping in merged:
            for key, value in mapping.items():
                if key not in entries:
                    entries[key] = value
                    self._lines[*path, key] = first_lines["<<"]
        return entries

    def _key(self, event: Any, line: int, depth: int) -> str:
        if isinstance(event, yaml.ScalarEvent):
            self._count(weight(event.value), line)
            if event.anchor is not None:
                self._anchors[event.anchor] = event.value
            return str(event.value)
        value = self._value(event, (), depth + 1)
        if isinstance(value, str):
            return value
        raise UnreadableError(line, "a key must be text, found a list or a mapping")

    def _mergeable(self, value: Any, line: int) -> list[dict[str, Any]]:
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(mapping, dict) for mapping in mappings):
            return mappings
        self._mistakes.append(Mistake(line, "'<<' must name a mapping or a list of mappings"))
        return []

    def _aliased(self, anchor: str, line: int, depth: int) -> Any:
        if anchor not in self._anchors:
            raise UnreadableError(
                line, f"alias '*{anchor}' stands before or inside of what it names ('&{anchor}')"
            )
        return self._copied(self._anchors[anchor], line, depth)

    def _copied(self, value: Any, line: int, depth: int) -> Any:
        if depth > NESTING_MAX:
            raise nested_too_deep(line)
        self._count(weight(value) if isinstance(value, str) else 1, line)
        if isinstance(value, dict):
            return {key: self._copied(entry, line, depth + 1) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._copied(item, line, depth + 1) for item in value]
        return value

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > VALUES_MAX:
            raise too_many_values(line)

    def _check_tag(self, tag: str | None, line: int, *names: str) -> None:
        if tag not in {None, "!"} and tag not in {_TAGS + name for name in names}:
            written = tag.replace(_TAGS, "!!") if tag else tag
            self._mistakes.append(
                Mistake(line, f"tag {written!r} is not known here; leave it out, or quote the text")
            )

    def _scalar(self, event: Any, line: int) -> Any:
        text = str(event.value)
        self._check_tag(event.tag, line, "str", "int", "float", "bool", "null")
        if event.tag in {"!", _TAGS + "str"} or (event.tag is None and not event.implicit[0]):
            return text
        if _NULL.fullmatch(text):
            return None
        if boolean := _BOOLEAN.fullmatch(text):
            return boolean.group(1) is not None
        if _INTEGER.fullmatch(text):
            return whole_number(text, line, self._mistakes)
        if _OCTAL.fullmatch(text):
            return whole_number(text[2:], line, self._mistakes, base=8)
        if _HEXADECIMAL.fullmatch(text):
            return whole_number(text[2:], line, self._mistakes, base=16)
        if _FRACTION.fullmatch(text):
            return fraction(text, line, self._mistakes)
        if _NOT_A_NUMBER.fullmatch(text):
            self._mistakes.append(
                Mistake(
                    line, f"{text} is not a number that a flow can hold; quote it if it is text"
                )
            )
        return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
