"""`throttle`: so many records of a key in so much time."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from headrace.operators.waiting import Fifo, in_ms, time_after_wait
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext, TimerKind
from headrace.runtime.duration import Duration, format_duration
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression

DROP, DELAY = "drop", "delay"
NEXT, HELD = "next", "held "


class ThrottleConfig(ActionConfig):
    """The rate, and what becomes of records over it."""

    key: Expression | None = Field(
        None,
        description="what has the rate; the record's own key when left out. A constant such as `'all'` is one rate for all",
    )
    rate: int = Field(
        ge=1, le=1_000_000, description="records of one key that may pass in each `per`"
    )
    per: Duration = Field(
        description="the time that is counted; spans begin at its multiples, so that 1m is a minute of the clock"
    )
    over: str = Field(
        DROP,
        description="records over the rate: `drop` them, `delay` them, or send them to the stage of this name",
    )
    limit: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="records of one key that `delay` holds at most; a further one is an error",
    )


class Throttle(KeyedAction):
    """Lets at most `rate` records of each key pass in every span of `per`.

    `drop` and a stage count in event time, which gives the same result for a backlog as live. `delay` counts on the wall
    clock, since it protects what comes behind it from too much at once; it keeps the order of each key.
    """

    Config = ThrottleConfig
    config: ThrottleConfig

    def specialised(self) -> KeyedAction:
        return DelayingThrottle(self.config) if self.config.over == DELAY else self

    def problems(self) -> Iterable[str]:
        if self._per_ms == 0:
            yield "per: must be longer than nothing"
        if not self.config.over:
            yield "over: is drop, delay or the name of a stage"
        if self.config.over != DELAY and "limit" in self.config.model_fields_set:
            yield "limit: bounds what 'over: delay' holds; remove it"

    def summary(self) -> str:
        config = self.config
        of = f" of {config.key.text}" if config.key else ""
        over = config.over if config.over in (DROP, DELAY) else f"others -> {config.over}"
        return f"{config.rate} per {format_duration(config.per)}{of}; {over}"

    def outputs(self) -> tuple[str, ...]:
        return () if self.config.over in (DROP, DELAY, "") else (self.config.over,)

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key

    @property
    def is_per_record(self) -> bool:
        return True

    def shape(self) -> Mapping[str, Any]:
        return {"action": "throttle"}

    def on_record(self, context: KeyedContext, event: Any) -> None:
        start_ms = context.timestamp_ms - context.timestamp_ms % self._per_ms
        name = f"{start_ms:016d}"
        count = context.get(name) or 0
        if count < self.config.rate:
            ahead_ms = max(0, start_ms + self._per_ms - context.watermark_ms)
            context.put(name, count + 1, ttl_ms=self._per_ms + ahead_ms)
            context.forward(event)
        elif self.outputs():
            context.forward(event, to=self.config.over)

    @cached_property
    def _per_ms(self) -> int:
        return in_ms(self.config.per)


class DelayingThrottle(Throttle):
    """Holds the records over the rate until their span of the wall clock comes.

    The state: `span` -> [start of the current span, records passed in it], and a queue `held ` of [event time, event, run].
    """

    ttl_kind = "wall"

    @property
    def is_per_record(self) -> bool:
        return False

    @property
    def keeps_run(self) -> bool:
        return True

    def shape(self) -> Mapping[str, Any]:
        return {"action": "throttle", "over": DELAY}

    def on_record(self, context: KeyedContext, event: Any) -> None:
        held = Fifo(context, HELD)
        start_ms, count = self._span(context, context.now_ms)
        if not len(held) and count < self.config.rate:
            self._count(context, start_ms, count + 1)
            context.forward(event)
            return
        if len(held) >= self.config.limit:
            raise RecordError(
                f"{self.config.limit:,} records of this key wait already; raise 'limit' or 'rate',"
                " or let 'over' drop them"
            )
        if not len(held):
            context.set_timer(NEXT, start_ms + self._per_ms, kind="wall")
        held.push([context.timestamp_ms, event, context.run])

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        held = Fifo(context, HELD)
        start_ms, count = self._span(context, max(at_ms, context.now_ms))
        while len(held) and count < self.config.rate:
            timestamp_ms, event, run = held.pop()
            count += 1
            later_ms = time_after_wait(context, timestamp_ms, 0)
            context.forward(event, timestamp_ms=later_ms, run=run)
        self._count(context, start_ms, count)
        if len(held):
            context.set_timer(NEXT, start_ms + self._per_ms, kind="wall")

    def _span(self, context: KeyedContext, now_ms: int) -> tuple[int, int]:
        """The start of the current span and how many have passed in it; a clock that is set back stays in its span."""
        start_ms, count = context.get("span") or (0, 0)
        current_ms = now_ms - now_ms % self._per_ms
        return (start_ms, count) if start_ms >= current_ms else (current_ms, 0)

    def _count(self, context: KeyedContext, start_ms: int, count: int) -> None:
        context.put("span", [start_ms, count], ttl_ms=2 * self._per_ms)
