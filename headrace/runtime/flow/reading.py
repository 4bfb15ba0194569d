"""Bytes to documents: the size limit, the encoding, and the two syntaxes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from headrace.runtime.flow.document import BYTES_MAX, Document, Mistake, UnreadableError
from headrace.runtime.flow.json_text import read_json
from headrace.runtime.flow.places import Places
from headrace.runtime.flow.yaml_text import read_yaml

Format = Literal["yaml", "json"]


def format_of(path: Path) -> Format | None:
    """The syntax that a file's name promises; None when it is no name of a flow document."""
    if path.suffix in {".yaml", ".yml"}:
        return "yaml"
    return "json" if path.suffix == ".json" else None


def read_bytes(path: Path) -> bytes:
    """A file's bytes, but never more than one above the limit, so that `read_text` can refuse it.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def read_documents(content: bytes | str, file: str, syntax: Format) -> list[Document]:
    """All documents of a text. What cannot be read is a last document with a mistake and no data.

    `file` is the name that places carry.
    """
    documents: list[Document] = []
    try:
        # One by one, so that a syntax error leaves the documents before it.
        documents.extend(_documents(_text(content), file, syntax))
    except UnreadableError as error:
        documents.append(Document(None, Places(file, {(): error.mistake.line}), [error.mistake]))
    if not documents:
        nothing = Mistake(1, "the text holds no flow; a flow begins with its 'name'")
        documents.append(Document(None, Places(file, {(): 1}), [nothing]))
    return documents


def _documents(text: str, file: str, syntax: Format) -> Iterator[Document]:
    if syntax == "yaml":
        yield from read_yaml(text, file)
    elif text.strip():
        yield read_json(text, file)


def _text(content: bytes | str) -> str:
    try:
        encoded = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        raise UnreadableError(0, "the text holds half of a surrogate pair") from error
    if len(encoded) > BYTES_MAX:
        raise UnreadableError(0, f"the text is larger than {BYTES_MAX // 1_000_000} MB")
    try:
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = encoded.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            line, f"the text is not UTF-8: byte 0x{encoded[error.start]:02x}; save it as UTF-8"
        ) from error
