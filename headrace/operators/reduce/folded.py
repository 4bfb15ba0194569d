"""`reduce` over tumbling and hopping windows, and without windows: accumulators that the compiler inlines."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.operators.reduce.carrying_over import carried_over
from headrace.operators.reduce.config import in_ms
from headrace.operators.reduce.keyed import KeyedReduce
from headrace.runtime.contracts.action import Code, Fold, KeyedContext, Migration


class FoldedReduce(KeyedReduce):
    """Brings the records of a key, and of a bin of time, together in one accumulator."""

    is_generated = True

    def fold(self) -> Fold:
        window = self.window
        bin_ms, bins = 0, 1
        if window.tumbling is not None:
            bin_ms = in_ms(window.tumbling)
        elif window.hopping is not None:
            assert window.every is not None  # `problems` has seen it
            assert not isinstance(window.every, int)
            bin_ms, bins = in_ms(window.every), window.hopping // window.every
        emit: Literal["updates", "final"] = "final" if self.is_final else "updates"
        return Fold(
            initial=self.accumulator.initial,
            add=self._add,
            result=self._result,
            merge=self.accumulator.merge,
            bin_ms=bin_ms,
            bins=bins,
            grace_ms=self.grace_ms,
            emit=emit,
            early_ms=self.early_ms,
            close="wall" if self.config.close == "wall" else "event",
            idle_ms=self.idle_ms,
            ttl_ms=in_ms(self.config.ttl) if self.config.ttl is not None else None,
        )

    @property
    def delay_ms(self) -> int:
        return self.grace_ms + 1 if self.config.window is not None else 0

    def migration(self, before: Mapping[str, Any]) -> Migration | None:
        own = self.shape()
        if any(before.get(name) != own[name] for name in own if name != "slots"):
            return None
        return carried_over(self.accumulator, before.get("slots"))

    def _add(self, code: Code, accumulator: str, timestamp: str) -> None:
        self.accumulator.write_add(code, accumulator, timestamp)

    def _result(self, code: Code, accumulator: str) -> list[tuple[str, str]]:
        return self.accumulator.results(code, accumulator)

    def shown(self, name: str, value: Any) -> Any:  # noqa: ARG002 # accumulators have no names
        return self.accumulator.result(value)

    def on_record(self, context: KeyedContext, event: Any) -> None:  # noqa: ARG002 # as its contract has it
        raise AssertionError("the compiler inlines this action")
