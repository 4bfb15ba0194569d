"""`delay`: passes every record on, later."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from headrace.operators.evaluation import Evaluation, RecordExpression, evaluation
from headrace.operators.waiting import Fifo, in_ms, time_after_wait
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext, TimerKind
from headrace.runtime.duration import Duration, format_duration
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.task.records import TIMESTAMP_MS_MAX

NEXT = "next"


class DelayConfig(ActionConfig):
    """One of `seconds`, `wait` and `until`."""

    key: Expression | None = Field(
        None,
        description="records of one key stay in order; the record's own key when left out",
    )
    seconds: float | None = Field(
        None, ge=0, le=3_153_600_000, description="how long to wait, as a number of seconds"
    )
    wait: Duration | None = Field(None, description="how long to wait, such as 90s or 2h")
    until: RecordExpression | None = Field(
        None,
        description="when to go on, in ms since 1970 UTC, such as `event.due`; at once when that is over",
    )
    clock: Literal["wall", "event"] = Field(
        "wall", description="wait in time that passes here, or in event time"
    )
    limit: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="records of one key that wait at most; a further one is an error",
    )


class Delay(KeyedAction):
    """Holds every record for some time, or until a moment, and passes it on unchanged.

    The wait is durable: it goes on where it was when a worker ends and another takes over. A record never overtakes another
    one of its key, so that with `until` it may wait for one before it.
    """

    Config = DelayConfig
    config: DelayConfig

    def problems(self) -> Iterable[str]:
        given = [
            name for name in ("seconds", "wait", "until") if getattr(self.config, name) is not None
        ]
        if len(given) != 1:
            what = f"has {', '.join(map(repr, given))}" if given else "says not how long"
            yield f"{what}; give one of 'seconds', 'wait' (such as 2h) and 'until' (an expression)"

    def summary(self) -> str:
        config = self.config
        if config.until is not None:
            return f"until {config.until.text}"
        if config.wait is not None:
            return format_duration(config.wait)
        return f"{config.seconds:g}s"

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key

    @property
    def delay_ms(self) -> int:
        return self._wait_ms

    @property
    def keeps_run(self) -> bool:
        return True

    def shape(self) -> Mapping[str, Any]:
        return {"action": "delay", "clock": self.config.clock}

    def on_record(self, context: KeyedContext, event: Any) -> None:
        clock = self.config.clock
        held = Fifo(context)
        if len(held) >= self.config.limit:
            raise RecordError(
                f"{self.config.limit:,} records of this key wait already; raise 'limit',"
                " or let 'key' spread them over more keys"
            )
        now_ms = context.now_ms if clock == "wall" else context.timestamp_ms
        due_ms = now_ms + self._wait_ms if self._until is None else self._moment(context, event)
        if not len(held):
            context.set_timer(NEXT, due_ms, kind=clock)
        held.push([due_ms, context.timestamp_ms, event, context.run])

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        held = Fifo(context)
        now_ms = max(at_ms, context.now_ms if kind == "wall" else context.watermark_ms)
        while len(held):
            due_ms, timestamp_ms, event, run = held.first()
            if due_ms > now_ms:
                context.set_timer(NEXT, due_ms, kind=kind)
                return
            held.pop()
            later_ms = time_after_wait(context, timestamp_ms, self._wait_ms)
            context.forward(event, timestamp_ms=later_ms, run=run)

    def _moment(self, context: KeyedContext, event: Any) -> int:
        assert self._until is not None
        value = self._until(context, event)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecordError(
                "until: needs a moment in milliseconds since 1970 UTC, such as parse_time() gives"
            )
        if not 0 <= value <= TIMESTAMP_MS_MAX:
            raise RecordError("until: the moment lies before 1970 or behind the year 9999")
        return int(value)

    @cached_property
    def _wait_ms(self) -> int:
        if self.config.wait is not None:
            return in_ms(self.config.wait)
        return round((self.config.seconds or 0) * 1000)

    @cached_property
    def _until(self) -> Evaluation | None:
        return evaluation(self.config.until, "until")
