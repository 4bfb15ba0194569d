"""`reducer`: an aggregate of the user's own, in Python."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from headrace.operators.python_function import copied
from headrace.operators.reduce.aggregates.aggregate import Aggregate, At, Writer, kept
from headrace.runtime.errors import RecordError, SettingsError

METHODS = ("initial", "add")


class Own(Aggregate):
    """What a Python object with `initial()`, `add(state, value)` and, where needed, `merge(a, b)` and `result(state)` makes.

    The state is of JSON's types. Methods get copies, which they may change before they fail.
    """

    usage = 'reducer("package.module:Name", event.amount)'
    arguments = ("path", "expression")
    skips_null = False

    @cached_property
    def initial(self) -> str:  # type: ignore[override] # source that is made once it is asked for
        return repr(self._called("initial"))

    @property
    def state(self) -> tuple[object, ...]:
        return (*super().state, self.call.path)

    @cached_property
    def _object(self) -> Any:
        assert self.call.path is not None  # it is a needed argument
        return load_reducer(self.call.path)

    def problems(self, window: str | None) -> Sequence[str]:
        try:
            loaded = self._object
            self.initial  # noqa: B018 - fails here rather than with the first record
        except (SettingsError, RecordError) as error:
            return (str(error),)
        if window is not None and not hasattr(loaded, "merge"):
            return (
                f"'{self.call.path}' has no merge(a, b), and a {window} window is put together from parts",
            )
        return ()

    def prepare(self, code: Writer, at: At) -> str:
        state, add = code.variable("state"), code.constant(self._add, "add")
        code.line(f"{state} = {add}({at.source()}, {at.value})")
        return state

    def update(self, code: Writer, at: At, prepared: str) -> None:
        code.line(f"{at.source()} = {prepared}")

    def result(self, code: Writer, accumulator: str, slot: int) -> str:
        return f"{code.constant(self._result, 'result')}({accumulator}[{slot}])"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merge = code.constant(self._merge, "merge")
        code.line(f"{accumulator}[{slot}] = {merge}({accumulator}[{slot}], {other}[{slot}])")

    def _add(self, state: Any, value: Any) -> Any:
        return state if value is None else self._called("add", state, value)

    def _merge(self, one: Any, other: Any) -> Any:
        return self._called("merge", one, other)

    def _result(self, state: Any) -> Any:
        return self._called("result", state) if hasattr(self._object, "result") else copied(state)

    def _called(self, method: str, *arguments: Any) -> Any:
        """What a method returns.

        Raises:
            RecordError: it raised, or returned what is not of JSON's types; the note tells what it said.
        """
        function: Callable[..., Any] = getattr(self._object, method)
        try:
            made = function(*map(copied, arguments))
        except Exception as error:  # the user's code may raise anything
            failed = RecordError(f"{type(error).__name__} raised by {method} of '{self.call.path}'")
            failed.add_note(f"{failed}: {error}")
            raise failed from error
        return kept(made, f"{method} of '{self.call.path}'")


def load_reducer(path: str) -> Any:
    """Import a reducer; a class is called without arguments.

    Raises:
        SettingsError: there is no such thing, or it lacks `initial` or `add`.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name.isidentifier():
        raise SettingsError(f"'{path}' is not of the form package.module:Name")
    try:
        found = getattr(importlib.import_module(module_name), name, None)
        if isinstance(found, type):
            found = found()
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise SettingsError(
            f"'{path}' cannot be loaded: {type(error).__name__}: {error};"
            " modules are looked for in the current folder and in what is installed"
        ) from error
    if found is None:
        raise SettingsError(f"module '{module_name}' has no '{name}'")
    for method in METHODS:
        if not callable(getattr(found, method, None)):
            raise SettingsError(
                f"'{path}' has no method '{method}'; a reducer has initial() and add(state, value)"
            )
        if inspect.iscoroutinefunction(getattr(found, method)):
            raise SettingsError(
                f"'{method}' of '{path}' is asynchronous, and a record does not wait"
            )
    return found
