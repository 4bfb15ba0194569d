"""`debounce`: waits until a key is quiet."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from headrace.operators.waiting import in_ms, time_after_wait
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext, TimerKind
from headrace.runtime.duration import Duration, format_duration
from headrace.runtime.expression import Expression
from headrace.runtime.task.records import decode_key

COLLECTED_MAX = 1_000
QUIET = "quiet"


class DebounceConfig(ActionConfig):
    """How long a key must be quiet, and what then goes on."""

    key: Expression | None = Field(
        None, description="what must be quiet; the record's own key when left out"
    )
    wait: Duration = Field(
        description="so long after the last record of the key, what was held goes on"
    )
    max_wait: Duration | None = Field(
        None, description="hold no longer than this after the first record, quiet or not"
    )
    max_count: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="hold no more records than this, quiet or not; 1,000 with `keep: collect` when left out",
    )
    clock: Literal["wall", "event"] = Field(
        "wall", description="measure quiet in time that passes here, or in event time"
    )
    keep: Literal["last", "first", "collect"] = Field(
        "last",
        description="what goes on: the last record, the first, or `{key, items}` with all events",
    )


class Debounce(KeyedAction):
    """Holds the records of a key until none has come for a while, then sends one event on.

    By the wall clock, records come first and last as they arrive; by event time, as their timestamps say.
    """

    Config = DebounceConfig
    config: DebounceConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if in_ms(config.wait) == 0:
            yield "wait: must be longer than nothing"
        if config.max_wait is not None and config.max_wait < config.wait:
            yield "max_wait: is shorter than 'wait', so that 'wait' would never be over"

    def summary(self) -> str:
        config = self.config
        words: list[str] = [config.keep]
        if config.key is not None:
            words.append(f"of {config.key.text}")
        words.append(f"after {format_duration(config.wait)} without another")
        if config.max_wait is not None:
            words.append(f"or {format_duration(config.max_wait)} in all")
        return " ".join(words)

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key

    @property
    def delay_ms(self) -> int:
        return in_ms(self.config.max_wait or self.config.wait)

    @property
    def keeps_run(self) -> bool:
        return self.config.keep != "collect"

    def shape(self) -> Mapping[str, Any]:
        return {"action": "debounce", "keep": self.config.keep, "clock": self.config.clock}

    # The state: "" -> [first time, last time (both on the clock), records, event time of what goes on], `event ` + number ->
    # [event, run], of which there is one unless all are collected, and those have no run.

    def on_record(self, context: KeyedContext, event: Any) -> None:
        config = self.config
        is_wall = config.clock == "wall"
        time_ms = context.now_ms if is_wall else context.timestamp_ms
        held = context.get()
        first_ms, last_ms, count, event_ms = held or (time_ms, time_ms, 0, context.timestamp_ms)
        if config.keep == "collect":
            context.put(f"event {count:06d}", [event])
            event_ms = max(event_ms, context.timestamp_ms)
        elif held is None or (time_ms >= last_ms if config.keep == "last" else time_ms < first_ms):
            context.put("event 000000", [event, context.run])
            event_ms = context.timestamp_ms
        first_ms, last_ms, count = min(first_ms, time_ms), max(last_ms, time_ms), count + 1
        limit = config.max_count or (COLLECTED_MAX if config.keep == "collect" else None)
        if limit is not None and count >= limit:
            context.cancel_timer(QUIET, kind=config.clock)
            self._go_on(context, count, event_ms)
            return
        context.put("", [first_ms, last_ms, count, event_ms])
        due_ms = last_ms + in_ms(config.wait)
        if config.max_wait is not None:
            due_ms = min(due_ms, first_ms + in_ms(config.max_wait))
        context.set_timer(QUIET, due_ms, kind=config.clock)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        *_, count, event_ms = context.get()
        self._go_on(context, count, event_ms)

    def _go_on(self, context: KeyedContext, count: int, event_ms: int) -> None:
        is_collecting = self.config.keep == "collect"
        names = [f"event {number:06d}" for number in range(count if is_collecting else 1)]
        held = [context.get(name) for name in names]
        for name in ("", *names):
            context.delete(name)
        event, run = held[0][0], None
        if is_collecting:
            event = {"key": decode_key(context.key), "items": [one for (one,) in held]}
        else:
            run = held[0][1]
        later_ms = time_after_wait(context, event_ms, self.delay_ms)
        context.forward(event, timestamp_ms=later_ms, run=run)
