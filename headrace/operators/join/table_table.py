"""Two tables under one key: the result is a table too, which changes with either of them."""

from typing import Any

from headrace.operators.join.keyed_join import KeyedJoin
from headrace.runtime.contracts.action import KeyedContext


class TableTableJoin(KeyedJoin):
    """Keeps `[event time, row]` of either side under the names l and r.

    Differs from Kafka Streams in emitting a null result only where there was a result before.
    """

    kind = "table-table join"

    def on_record(self, context: KeyedContext, event: Any) -> None:
        rows = {"left": context.get("l"), "right": context.get("r")}
        side = self._side(context.input)
        was_there = self._is_there(rows["left"], rows["right"])
        time_ms = context.timestamp_ms
        name = "l" if side == "left" else "r"
        if event is None:
            rows[side] = None
            context.delete(name)
        else:
            rows[side] = [time_ms, event]
            context.put(name, rows[side])
        time_ms = max([time_ms, *(row[0] for row in rows.values() if row is not None)])
        if self._is_there(rows["left"], rows["right"]):
            left, right = (None if row is None else row[1] for row in rows.values())
            result = self._result(context, left, right, time_ms)
            context.forward(result, timestamp_ms=time_ms)
        elif was_there:
            context.forward(None, timestamp_ms=time_ms)

    def _is_there(self, left: Any, right: Any) -> bool:
        """Whether these rows have a result."""
        if self.config.type == "inner":
            return left is not None and right is not None
        return left is not None or (self.config.type == "outer" and right is not None)
