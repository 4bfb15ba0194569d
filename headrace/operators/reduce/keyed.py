"""What `reduce` is over every kind of window: its key, its late records, its problems."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final

from headrace.operators.reduce.accumulator import Accumulator
from headrace.operators.reduce.config import (
    EarlyConfig,
    IdleConfig,
    ReduceConfig,
    TopicConfig,
    WindowConfig,
    in_ms,
)
from headrace.operators.reduce.lines import RECORD_NAMES
from headrace.runtime.contracts.action import KeyedAction, KeyedContext
from headrace.runtime.duration import format_duration
from headrace.runtime.expression import Expression
from headrace.runtime.task.records import decode_key

KINDS: Final = ("tumbling", "hopping", "sliding", "session", "count")
RESERVED: Final = ("key", "start", "end")


class KeyedReduce(KeyedAction):
    """Brings the records of a key together."""

    Config = ReduceConfig
    config: ReduceConfig
    is_generated: ClassVar[bool] = False
    """Whether the aggregates are written into generated code, where every name of an expression is at hand."""

    def __init__(self, config: ReduceConfig) -> None:
        super().__init__(config)
        late = config.late
        self.late_stage = late if isinstance(late, str) else None
        self.late_topic = late.topic if isinstance(late, TopicConfig) else None
        self.grace_ms = in_ms(config.grace)
        self.early_ms = in_ms(config.emit.every) if isinstance(config.emit, EarlyConfig) else None
        self.idle_ms = in_ms(config.close.idle) if isinstance(config.close, IdleConfig) else None

    @property
    def window(self) -> WindowConfig:
        return self.config.window or WindowConfig()

    @property
    def is_final(self) -> bool:
        """Whether a window's result is sent when it is closed, and not with every commit."""
        return self.config.emit not in (None, "updates")

    @cached_property
    def accumulator(self) -> Accumulator:
        return Accumulator(self.config.aggregate)

    @cached_property
    def parts_of_windows(self) -> str | None:
        """The kind of the window, where its results are merged from parts."""
        window = self.window
        for kind in ("hopping", "sliding", "session"):
            if getattr(window, kind) is not None:
                return kind
        return "count" if window.count is not None and window.every is not None else None

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 # as its contract has it
        return self.config.key

    def outputs(self) -> tuple[str, ...]:
        return (self.late_stage,) if self.late_stage is not None else ()

    def shape(self) -> Mapping[str, Any]:
        window = {
            name: value if isinstance(value, int) else in_ms(value)
            for name, value in ((name, getattr(self.window, name)) for name in (*KINDS, "every"))
            if value is not None
        }
        key = self.config.key.text if self.config.key is not None else None
        return {"action": "reduce", "key": key, "window": window, "slots": self.accumulator.shape}

    def summary(self) -> str:
        window = self.window
        words = [
            f"{kind} {value if isinstance(value, int) else format_duration(value)}"
            for kind in (*KINDS, "every")
            if (value := getattr(window, kind)) is not None
        ]
        if self.config.key is not None:
            words.append(f"by {self.config.key.text}")
        fields = ", ".join(f"{name} = {one.text}" for name, one in self.config.aggregate.items())
        return "; ".join([*words, fields])

    # ---- problems

    def problems(self) -> Iterable[str]:
        kinds = [kind for kind in KINDS if getattr(self.window, kind) is not None]
        if not self.config.aggregate:
            yield (
                "aggregate: needs at least one aggregation, such as {n: count()}; or 'concat_field' or 'merge', which"
                " make one map of a list of maps"
            )
        if self.config.window is not None and len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            yield f"window: needs exactly one of {', '.join(KINDS)}, found {found}"
            return
        yield from self._problems_of_step()
        yield from self._problems_of_fields()
        yield from self._problems_of_time()
        yield from self._problems_of_aggregates()

    def _problems_of_step(self) -> Iterable[str]:
        window = self.window
        every, size = window.every, window.hopping
        if size is not None:
            if every is None:
                yield "window: hopping windows need 'every': how often one begins, such as every: 1m"
            elif isinstance(every, int):
                yield "window: 'every' of hopping windows is a duration, such as 1m"
            elif every > size:
                yield "window: 'every' is longer than the windows, so that records between them would be in none"
            elif size % every:
                yield (
                    f"window: every: {format_duration(every)} does not divide hopping: {format_duration(size)};"
                    " choose a length that is a multiple of 'every'"
                )
            elif size // every > 10_000:
                yield f"window: {size // every:,} windows would overlap, and 10,000 may; choose a longer 'every', or sliding"
        elif window.count is not None and every is not None:
            if not isinstance(every, int):
                yield "window: 'every' of count windows is a number of records, such as 10"
            elif window.count % every:
                yield f"window: every: {every} does not divide count: {window.count}; choose a divisor"
        elif every is not None:
            yield "window: 'every' goes with hopping and count windows only"

    def _problems_of_fields(self) -> Iterable[str]:
        reserved = (*RESERVED, "merged_into") if self.window.session is not None else RESERVED
        for name in self.config.aggregate:
            if name in reserved:
                yield f"aggregate: '{name}' is a field of every result already; choose another name"

    def _problems_of_time(self) -> Iterable[str]:
        config = self.config
        if config.window is None:
            for name in ("grace", "late", "close"):
                if name in config.model_fields_set:
                    yield f"{name}: there is no window that could be closed; name a 'window' or remove '{name}'"
            if self.is_final:
                yield "emit: without a window no result is final; use emit: updates, or name a 'window'"
            return
        if config.ttl is not None:
            yield "ttl: windows end by themselves; remove 'ttl', which is for reduce without a window"
        if config.window.count is None:
            return
        for name in ("grace", "late"):
            if name in config.model_fields_set:
                yield f"{name}: count windows take records as they arrive, and none is late; remove '{name}'"
        if config.emit not in (None, "final"):
            yield "emit: a count window has one result, once it is full; remove 'emit'"
        if config.close == "wall":
            yield "close: count windows are closed by records; {idle: 30s} also closes them when none come"

    def _problems_of_aggregates(self) -> Iterable[str]:
        for field, aggregate, _ in self.accumulator.fields:
            for text in aggregate.problems(self.parts_of_windows):
                yield f"aggregate: {field}: {text}"
            if self.is_generated:
                continue
            for part in aggregate.call.expressions:
                for name in sorted(part.reads - RECORD_NAMES):
                    yield (
                        f"aggregate: {field}: mentions '{name}', and over these windows an aggregation knows event, key and"
                        " timestamp; a map in front can put it into the event"
                    )

    # ---- results

    def result(
        self, context: KeyedContext, start_ms: int, end_ms: int, accumulator: list[Any]
    ) -> dict[str, Any]:
        """The event that is a window's result."""
        return {
            "key": decode_key(context.key),
            "start": start_ms,
            "end": end_ms,
            **self.accumulator.result(accumulator),
        }

    def merged(self, accumulators: Sequence[list[Any]]) -> list[Any]:
        """One accumulator of several, the earlier ones first; the first is changed."""
        for other in accumulators[1:]:
            self.accumulator.merge(accumulators[0], other)
        return accumulators[0]
