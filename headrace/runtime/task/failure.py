"""One record's failure: which stage it belongs to, and what may be told of it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType

import orjson

from headrace.runtime.codegen import LinePlace, Module
from headrace.runtime.contracts.broker import Message
from headrace.runtime.contracts.format import INLINED, load_format
from headrace.runtime.expression import explain

WRITES_JSON = re.compile(r"= (?:None if \w+ is None else )?dumps\(\w+\)(?:  # .*)?$")
"""The line that encodes an event. What the encoder raises is a plain TypeError, as an expression may raise it."""
ERROR_TEXT_MAX = 4_096
"""Characters of an error's text that a dead letter carries."""
OURS = "headrace."


@dataclass(frozen=True)
class Failure:
    """One record that failed in one stage. `text` is safe to log; `detail` may quote what a user's function said."""

    place: LinePlace
    message: Message
    kind: str
    text: str
    detail: str

    @property
    def where(self) -> str:
        return where_of(self.message)

    @property
    def flow(self) -> str:
        return self.place.entry.graph.flow.name

    @property
    def stage(self) -> str:
        return self.place.node.name


def where_of(message: Message) -> str:
    """A record's place as messages tell it."""
    return f"{message.topic()}[{message.partition()}]@{message.offset()}"


def generated_frame(
    error: BaseException, modules: Mapping[str, Module]
) -> tuple[TracebackType, Module] | None:
    """The innermost function of generated code in the traceback; `modules` are by file name."""
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        module = modules.get(traceback.tb_frame.f_code.co_filename)
        # A comprehension is a frame of its own in Python 3.11, without the variables around it.
        if module and not traceback.tb_frame.f_code.co_name.startswith("<"):
            found = (traceback, module)
        traceback = traceback.tb_next
    return found


def explained(
    error: Exception,
    message: Message,
    place: LinePlace,
    traceback: TracebackType,
    module: Module,
    *,
    is_refused: bool,
    secrets: Collection[str],
) -> Failure:
    """Say what failed. `traceback` is the entry of the generated function; the client `is_refused`-d the record, or not.

    What a called function says may quote the record, and so may the notes of an error of ours: both are for the detail only.
    """
    if place.is_decoding:
        text = without(secrets, _undecodable(error, message, place))
        return Failure(place, message, "UndecodableError", text, text)
    kind = type(error).__name__
    if called := _called(traceback, module):
        code = called.tb_frame.f_code
        text = f"{kind} raised by {code.co_qualname} ({code.co_filename}:{called.tb_lineno})"
        detail = without(secrets, f"{text}: {_said(error)}")
        return Failure(place, message, kind, text, detail)
    if is_refused:
        text = str(error)
    elif isinstance(error, TypeError) and WRITES_JSON.search(_line(traceback, module)):
        text = f"the event cannot be written as JSON: {error}"  # which quotes types only
    else:
        spelled = {v: name for name, v in place.variables.items()}
        text = explain(error, traceback, {**module.spelled, **spelled, place.event: "event"})
    notes = "\n".join(getattr(error, "__notes__", ()))
    return Failure(place, message, kind, without(secrets, text), without(secrets, notes or text))


def without(secrets: Collection[str], text: str) -> str:
    """A text without the secrets, as they are or as Python and JSON spell them, and not too long."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be the beginning of another
        for spelled in (secret, repr(secret)[1:-1], orjson.dumps(secret).decode()[1:-1]):
            text = text.replace(spelled, "***")
    return text[:ERROR_TEXT_MAX]


def _line(traceback: TracebackType, module: Module) -> str:
    """The generated line that failed."""
    return module.source.splitlines()[traceback.tb_lineno - 1]


def _undecodable(error: Exception, message: Message, place: LinePlace) -> str:
    wanted = place.entry.value_format
    what = (
        load_format(wanted).summary()
        if wanted not in INLINED
        else "JSON"
        if wanted == "json"
        else "text"
    )
    is_json = isinstance(error, orjson.JSONDecodeError)
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    at = f" at character {error.pos}" if is_json and hasattr(error, "pos") else ""
    return (
        f"could not decode the value of {where_of(message)} as {what}: {reason}{at};"
        f" see on_error of stage '{place.node.name}'"
    )


def _called(traceback: TracebackType, module: Module) -> TracebackType | None:
    """The innermost frame, when generated code called something that is not headrace's."""
    following = traceback.tb_next
    while following and following.tb_frame.f_code.co_filename == module.file_name:
        following = following.tb_next
    if following is None or str(following.tb_frame.f_globals.get("__name__")).startswith(OURS):
        return None
    while following.tb_next:
        following = following.tb_next
    return following


def _said(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # a user's error class may itself be wrong
        return "its message cannot be read"
