"""Files and folders to flows, with every mistake of every document in one report."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from headrace.runtime import dialects
from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.flow.document import Document, Mistake, Mistakes
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.reading import Format, format_of, read_bytes, read_documents
from headrace.runtime.flow.suggestion import did_you_mean

_TEST_SUFFIXES: Final = (".test.yaml", ".test.yml")


def load_flows(paths: Iterable[str | Path]) -> list[Flow]:
    """The flows of files and folders, in the order of the paths and, in a folder, of their names.

    Folders are searched for `*.yaml`, `*.yml` and `*.json` all the way down, except hidden ones.
    Test cases (`*.test.yaml`) are passed over, and so is a file that was read already. Links to
    folders are not followed.

    Raises:
        FlowError: all that is wrong in all documents, or with the paths.
    """
    loaded = _Loaded()
    for path, syntax in _files(map(Path, paths), loaded):
        try:
            content = read_bytes(path)
        except OSError as error:
            loaded.refuse(path, f"the file cannot be read: {(error.strerror or 'unknown').lower()}")
            continue
        loaded.add(read_documents(content, str(path), syntax))
    if not loaded.flows and not loaded.problems:
        loaded.problems.append(Problem("", "no flows were found; name a file or a folder of flows"))
    return loaded.checked()


def parse_flows(text: str | bytes, name: str = "<text>", format: Format = "yaml") -> list[Flow]:  # noqa: A002 - the word for it
    """The flows of a text; `name` stands for the file in places.

    Raises:
        FlowError: all that is wrong in all documents.
    """
    loaded = _Loaded()
    loaded.add(read_documents(text, name, format))
    return loaded.checked()


class _Loaded:
    """What loading has gathered so far; a name is unique in all that is loaded together."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.problems: list[Problem] = []
        self._by_slug: dict[str, Flow] = {}
        self._meant: list[Flow] = []

    def checked(self) -> list[Flow]:
        if self.problems:
            raise FlowError(self.problems, self.flows + self._meant)
        return self.flows

    def refuse(self, path: Path, text: str) -> None:
        self.problems.append(Problem(str(path), text))

    def add(self, documents: list[Document]) -> None:
        for document in documents:
            mistakes = list(document.mistakes)
            if document.data is not None:
                result = dialects.read(document.data, document.places)
                mistakes += self._add_flow(result) if isinstance(result, Flow) else result
                if isinstance(result, Mistakes) and isinstance(result.meant, Flow):
                    self._meant.append(result.meant)
            mistakes.sort(key=lambda mistake: mistake.line)
            file = document.places.file
            self.problems += [
                Problem(f"{file}:{line}" if line else file, text) for line, text in mistakes
            ]

    def _add_flow(self, flow: Flow) -> list[Mistake]:
        other = self._by_slug.setdefault(flow.slug, flow)
        if other is flow:
            self.flows.append(flow)
            return []
        place = other.place("name")
        if other.name == flow.name:
            text = f"flow {flow.name!r} is also defined in {place}; a name belongs to one flow"
        else:
            text = (
                f"flow {flow.name!r} and flow {other.name!r} in {place} would share the name "
                f"{flow.slug!r} in topics and groups; rename one of them"
            )
        return [Mistake(flow.line("name"), text)]


def _files(paths: Iterator[Path], loaded: _Loaded) -> Iterator[tuple[Path, Format]]:
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            files = list(_search(path))
            if not files:
                loaded.refuse(path, "the folder holds no flows (*.yaml, *.yml, *.json)")
        elif not path.is_file():
            loaded.refuse(path, f"there is no such file or folder{_near(path)}")
            continue
        else:
            syntax = format_of(path)
            if syntax is None:
                loaded.refuse(path, "the name of a file of flows ends in .yaml, .yml or .json")
                continue
            files = [] if path.name.endswith(_TEST_SUFFIXES) else [(path, syntax)]
        for file, syntax in files:
            resolved = file.resolve()
            if resolved not in seen:
                seen.add(resolved)
                yield file, syntax


def _search(folder: Path) -> Iterator[tuple[Path, Format]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.endswith(_TEST_SUFFIXES):
                continue
            path = Path(parent, name)
            syntax = format_of(path)
            if syntax is not None and path.is_file():
                yield path, syntax


def _near(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return ""
    return did_you_mean(path.name, names)
