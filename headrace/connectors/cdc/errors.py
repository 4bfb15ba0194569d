"""What goes wrong between headrace and a database, by what helps."""

from headrace.runtime.errors import HeadraceError, RetriableError


class DatabaseUnavailableError(RetriableError):
    """The database does not answer, or its slot is still in use: the feed waits and tries again."""


class CaptureError(HeadraceError):
    """The capture cannot go on before somebody has done something; the message says what.

    Args:
        code: names the reason for programs, such as `slot_missing`; the text begins with it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class StopAskedError(CaptureError):
    """The config asks to stop before this change. What was written of the changes before it is worth committing."""


class ConditionRefusedError(HeadraceError):
    """The database refuses the condition of rows that are read beside the stream, and would read them without it.

    The connection is as it was. The message says why, without quoting rows.
    """


class ChangesLostError(CaptureError):
    """The database no longer has changes that were not captured. A new snapshot is the way on.

    Args:
        tables: the tables that this is about; none named are all.
    """

    def __init__(self, code: str, message: str, tables: tuple[str, ...] = ()) -> None:
        super().__init__(code, message)
        self.tables = tables
