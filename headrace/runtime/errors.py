"""The errors of headrace, as a tree by the reaction that each asks for.

::

    HeadraceError
    ├── SettingsError            fix the settings
    ├── FlowError                fix the flow document; carries every problem found
    ├── RecordError              this record: the stage's `on_error` decides
    │   └── UndecodableError     ... its bytes are not what the trigger's format says
    ├── RetriableError           try the same call again
    ├── TransactionError         abort the transaction, rewind to its beginning and go on
    ├── FencedError              another worker owns the task: close it, join the group anew
    ├── RestartError             this process cannot go on: exit non-zero, let a supervisor restart it
    │   ├── BrokerUnavailableError
    │   ├── DataLossError        records that the flow has not read are gone, or would be
    │   └── FlowStoppedError     `on_error: fail` met a failing record, or records fail in numbers
    ├── StoreCorruptError        wipe the store and restore it from its changelog
    └── ClosedError              used after closing

Messages say what failed, which one, what was expected and found, and what to do. They never hold the bytes of a record
or a secret.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class HeadraceError(Exception):
    """Any error that headrace raises on purpose.

    `exit_code` is what the command line exits with when this error ends a command.
    """

    exit_code: ClassVar[int] = 1


class SettingsError(HeadraceError):
    """A setting is missing, unknown or out of bounds."""

    exit_code = 4


class Problem(NamedTuple):
    """One thing wrong with a flow document.

    `place` names the file and line as `orders.yaml:14`, or is empty for a flow made in Python; `text` is
    the message without the place.
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class FlowError(HeadraceError):
    """A flow document is wrong; `problems` holds everything that was found, in document order.

    `readable` holds the flows that could be read all the same, for who wants to look for further problems.
    """

    exit_code = 3

    def __init__(self, problems: Sequence[Problem], readable: Sequence[Any] = ()) -> None:
        self.problems = tuple(problems)
        self.readable = tuple(readable)
        super().__init__("\n".join(map(str, self.problems)))


class RecordError(HeadraceError):
    """One record cannot be processed by one stage; the stage's `on_error` decides what becomes of it."""


class UndecodableError(RecordError):
    """The bytes of a record are not what the trigger's format says."""


class RetriableError(HeadraceError):
    """The same call may succeed when it is tried again."""


class TransactionError(HeadraceError):
    """The open transaction cannot be committed: abort it, rewind to its beginning, go on."""


class FencedError(HeadraceError):
    """Another worker owns what this one was working on; its open transaction was or will be aborted."""

    exit_code = 7


class RestartError(HeadraceError):
    """This process cannot go on; a supervisor may start it again."""

    exit_code = 7


class BrokerUnavailableError(RestartError):
    """No broker answered within its time limit."""

    exit_code = 5


class DataLossError(RestartError):
    """Records that the flow has not read yet are gone, or records that it writes would vanish at once."""

    exit_code = 6


class FlowStoppedError(RestartError):
    """A record failed in a stage with `on_error: fail`, or there are more dead letters than `dead_letter_limit` allows.

    Nothing of the open transaction was committed.
    """

    exit_code = 6


class StoreCorruptError(HeadraceError):
    """The files of a store cannot be read; wipe it and restore it from its changelog."""


class ClosedError(HeadraceError):
    """Something was used after it was closed."""
