"""Readers of the formats that flows are written in, each turning a document into the same model.

A dialect is a module with two functions: `recognises(data)` tells whether a document is its own,
and `read(data, places)` returns the flow or everything that is wrong with the document. The first
dialect that recognises a document reads it; what none recognises is told off in native terms.
"""

from typing import Any, Final, Protocol

from headrace.runtime.dialects import foreign, native
from headrace.runtime.flow.document import Mistake
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.places import Places


class Dialect(Protocol):
    """What a module of this package provides."""

    def recognises(self, data: Any) -> bool: ...
    def read(self, data: Any, places: Places) -> Flow | list[Mistake]: ...


DIALECTS: Final[tuple[Dialect, ...]] = (native, foreign)


def read(data: Any, places: Places) -> Flow | list[Mistake]:
    """The flow in a document of any dialect, or all that is wrong with it, in order of line."""
    dialect = next((dialect for dialect in DIALECTS if dialect.recognises(data)), native)
    return dialect.read(data, places)
