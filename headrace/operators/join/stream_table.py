"""A stream and a table: each record with the row of its key. Changes of the table emit nothing."""

import itertools
from typing import Any, Final

from headrace.operators.join.config import ROW_NAMES, JoinConfig, milliseconds
from headrace.operators.join.keyed_join import KeyedJoin, refuse_null
from headrace.operators.join.names import moment, numbered, time_of
from headrace.operators.join.rows import FORGOTTEN, CurrentRows, GlobalRows, Rows, VersionedRows
from headrace.runtime.contracts.action import KeyedContext, TimerKind
from headrace.runtime.expression import Expression
from headrace.runtime.expression.computation import Computation

HELD: Final = "h"
NUMBER: Final = "n"
RELEASE: Final = "release"


class StreamTableJoin(KeyedJoin):
    """Looks up the row, at once or after a wait.

    With `wait` records lie in the state under h, their event time and a number, and a timer releases the earliest of them.
    """

    kind = "stream-table join"

    def __init__(self, config: JoinConfig) -> None:
        super().__init__(config)
        self._wait_ms = milliseconds(config.wait)
        self._rows = rows_of(
            is_global=config.is_global,
            key=config.left_key,
            field="left_key",
            history_ms=milliseconds(config.history) if config.as_of else None,
        )

    @property
    def is_per_record(self) -> bool:
        return not self._wait_ms

    @property
    def delay_ms(self) -> int:
        return self._wait_ms

    def key(self, sender: str) -> Expression | None:
        return None if self.config.is_global else super().key(sender)

    def on_record(self, context: KeyedContext, event: Any) -> None:
        if self._side(context.input) == "right":
            self._rows.update(context, event)
            return
        refuse_null(event)
        time_ms, watermark_ms = context.timestamp_ms, context.watermark_ms
        if self._wait_ms and time_ms + self._wait_ms > watermark_ms:
            self._hold(context, event)
        else:
            self._join(context, event, time_ms, watermark_ms)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        if name == RELEASE:
            self._release(context, at_ms)
        else:
            self._rows.trim(context, at_ms)

    def _join(self, context: KeyedContext, event: Any, time_ms: int, now_ms: int) -> None:
        row = self._rows.find(context, event, time_ms, now_ms)
        if row is FORGOTTEN:
            context.late(event)
        elif row is not None or self.config.type == "left":
            result = self._result(context, event, row, time_ms)
            context.forward(result, timestamp_ms=time_ms)

    def _hold(self, context: KeyedContext, event: Any) -> None:
        number = context.get(NUMBER) or 0
        held = numbered(HELD, context.timestamp_ms, number)
        context.put(held, event)
        context.put(NUMBER, number + 1)
        if _earliest(context) == held:
            context.set_timer(RELEASE, context.timestamp_ms + self._wait_ms)

    def _release(self, context: KeyedContext, at_ms: int) -> None:
        # Up to the timer's time and no further: the rows of later times are yet to be forgotten, or to be late.
        for name, event in list(context.items(HELD, moment(HELD, at_ms - self._wait_ms + 1))):
            context.delete(name)
            self._join(context, event, time_of(name), at_ms)
        following = _earliest(context)
        if following is None:
            context.delete(NUMBER)
        else:
            context.set_timer(RELEASE, time_of(following) + self._wait_ms)


def rows_of(*, is_global: bool, key: Expression | None, field: str, history_ms: int | None) -> Rows:
    """How a table is read; `field` is where the `key` of a global table's row stands in the config."""
    if is_global:
        return GlobalRows(Computation(field, key, *ROW_NAMES) if key else None)
    return CurrentRows() if history_ms is None else VersionedRows(history_ms)


def _earliest(context: KeyedContext) -> str | None:
    held = context.items(HELD, chr(ord(HELD) + 1))
    return next((name for name, _ in itertools.islice(held, 1)), None)
