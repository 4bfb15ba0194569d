"""Finds files of tests and the flows that they test; every mistake of all of them is in one report."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from headrace.runtime.dialects import native
from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.flow import Flow, describe_validation, did_you_mean, load_flows
from headrace.runtime.flow.document import Document
from headrace.runtime.flow.places import Path as KeyPath
from headrace.runtime.flow.places import Places
from headrace.runtime.flow.reading import format_of, read_bytes, read_documents
from headrace.runtime.flow.suggestion import found
from headrace.runtime.testcases.model import TestDocument

SUFFIXES: Final = (".test.yaml", ".test.yml")
FLOW_SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Suite:
    """A file of tests with its flows."""

    path: Path
    document: TestDocument
    flows: tuple[Flow, ...]
    places: Places = field(compare=False, default_factory=Places)

    def place(self, test: int) -> str:
        """Where a test stands."""
        return self.places.place("tests", test)


@dataclass(frozen=True)
class Suites:
    """All suites found, and the flow files for which there is none."""

    suites: tuple[Suite, ...]
    untested: tuple[Path, ...]


def load_suites(paths: Iterable[str | Path]) -> Suites:
    """The tests of flows, of files of tests, and of folders with both.

    Raises:
        FlowError: everything that is wrong in any of the documents, or with the paths.
    """
    problems: list[Problem] = []
    test_files: dict[Path, None] = {}
    flow_files: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(_search(path)):
                (test_files if file.name.endswith(SUFFIXES) else flow_files)[file] = None
        elif not path.is_file():
            problems.append(Problem(str(path), f"there is no such file or folder{_near(path)}"))
        elif path.name.endswith(SUFFIXES):
            test_files[path] = None
        elif format_of(path) is None:
            problems.append(
                Problem(str(path), "name a flow (.yaml, .yml, .json), a file of tests or a folder")
            )
        else:
            flow_files[path] = None
            test_files.update(dict.fromkeys(_tests_beside(path)))
    suites = []
    tested: set[Path] = set()
    for file in test_files:
        suite = _suite(file, problems)
        if suite is not None:
            suites.append(suite)
            tested.update(path.resolve() for path in _flow_paths(suite.path, suite.document))
    if problems:
        raise FlowError(problems)
    untested = [path for path in flow_files if path.resolve() not in tested]
    return Suites(tuple(suites), tuple(untested))


def _suite(file: Path, problems: list[Problem]) -> Suite | None:
    try:
        documents = read_documents(read_bytes(file), str(file), "yaml")
    except OSError as error:
        problems.append(Problem(str(file), f"the file cannot be read: {error.strerror}"))
        return None
    if len(documents) > 1:
        problems.append(
            Problem(str(file), "a file of tests is one document; remove the '---' inside of it")
        )
        return None
    document = _document(documents[0], problems)
    if document is None:
        return None
    flow_paths = list(_flow_paths(file, document))
    if not flow_paths:
        stem = _stem(file)
        problems.append(
            Problem(
                str(file),
                f"there is no flow '{stem}.yaml' beside it; name the flow with 'flow: other.yaml'",
            )
        )
        return None
    try:
        flows = load_flows(flow_paths)
    except FlowError as error:
        problems += [problem for problem in error.problems if problem not in problems]
        return None
    return Suite(file, document, tuple(flows), documents[0].places)


def _document(document: Document, problems: list[Problem]) -> TestDocument | None:
    places, data = document.places, document.data
    mistakes = list(document.mistakes)
    checked: TestDocument | None = None
    if not mistakes and not isinstance(data, dict):
        problems.append(
            Problem(
                places.place(),
                f"a file of tests must be a mapping with 'tests', found {found(data)}",
            )
        )
        return None
    if isinstance(data, dict):
        try:
            checked = TestDocument.model_validate(data)
        except ValidationError as error:
            findings = describe_validation(
                error, TestDocument, data, named=lambda path: _subject(path, data)[0]
            )
            problems += [
                Problem(places.place(*path), f"{_subject(path, data)[1]}{text}")
                for path, text in sorted(findings, key=lambda one: places.line(*one.path))
            ]
    problems += [Problem(f"{places.file}:{line}", text) for line, text in mistakes]
    return None if mistakes else checked


def _subject(path: KeyPath, data: dict[str, Any]) -> tuple[int, str]:
    """Whom a message is about, and how many steps of the path its name stands for."""
    if len(path) > 2 and path[0] == "tests":
        name = data["tests"][path[1]].get("name")
        if isinstance(name, str) and name.strip():
            return 2, f"test {name!r}: "
    return 0, ""


def _flow_paths(file: Path, document: TestDocument) -> Iterator[Path]:
    if document.flow:
        yield from (file.parent / name for name in document.flow)
        return
    for suffix in FLOW_SUFFIXES:
        path = file.with_name(_stem(file) + suffix)
        if path.is_file():
            yield path
            return


def _stem(file: Path) -> str:
    return file.name.removesuffix(file.suffix).removesuffix(".test")


def _tests_beside(flow: Path) -> Iterator[Path]:
    for suffix in SUFFIXES:
        path = flow.with_name(flow.stem + suffix)
        if path.is_file():
            yield path


def _search(folder: Path) -> Iterator[Path]:
    """Files of tests and of flows, all the way down, without what is hidden or is no flow."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or format_of(path) is None or not path.is_file():
            continue
        if path.name.endswith(SUFFIXES) or _is_flow(path):
            yield path


def _is_flow(path: Path) -> bool:
    syntax = format_of(path)
    assert syntax
    try:
        documents = read_documents(read_bytes(path), str(path), syntax)
    except OSError:
        return False
    return any(native.recognises(document.data) for document in documents)


def _near(path: Path) -> str:
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return ""
