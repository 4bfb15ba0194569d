"""`collect`: gathers the events that belong together until all are there."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from headrace.operators.evaluation import Evaluation, RecordExpression, RecordNames, evaluation
from headrace.operators.split import FIELD_NAME, PART, is_part
from headrace.operators.waiting import in_ms, time_after_wait
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext, TimerKind
from headrace.runtime.duration import Duration
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.task.records import decode_key

EMIT, DROP = "emit", "drop"
TIMEOUT = "timeout"


class CollectConfig(ActionConfig):
    """Behind `split` nothing is needed; elsewhere `count` or `complete` tells when all are there."""

    key: Expression | None = Field(
        None,
        description="what the events that belong together share; when left out what `split` noted, otherwise the run's id",
    )
    count: RecordExpression | None = Field(
        None,
        description="how many belong together, such as `3` or `event.total`; when left out what `split` noted",
    )
    complete: Annotated[Expression, RecordNames("items")] | None = Field(
        None,
        description="a condition on the list `items` so far, in place of `count`; looked at with every event",
    )
    item: RecordExpression | None = Field(
        None,
        description="what is kept of each event; the event, without what `split` noted, when left out",
    )
    order: RecordExpression | None = Field(
        None,
        description="a number or text that the items are sorted by; when left out the order of `split`, otherwise as they came",
    )
    timeout: Duration = Field(
        timedelta(hours=1),
        description="how long to wait for all, from the first one on, on the wall clock",
    )
    on_timeout: str = Field(
        EMIT,
        min_length=1,
        description="what becomes of those that are there: `emit` (with `complete: false`), `drop`, or the stage to send that to",
    )
    limit: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="events that are held together at most; a further one is an error",
    )
    part: str = Field(
        PART,
        pattern=FIELD_NAME,
        description="the field in which `split` notes which part an event is",
    )


class Collect(KeyedAction):
    """Gathers the events that belong together and sends on `{key, items, complete}`.

    The opposite of `split`, and the fan-in of `map` with `each`. An event that failed on its way never comes, so that its
    whole waits until `timeout`; what comes after that begins anew.
    """

    Config = CollectConfig
    config: CollectConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.count is not None and config.complete is not None:
            yield "has both 'count' and 'complete'; keep one"
        if in_ms(config.timeout) == 0:
            yield "timeout: must be longer than nothing"

    def outputs(self) -> tuple[str, ...]:
        after = self.config.on_timeout
        return () if after in (EMIT, DROP) else (after,)

    def summary(self) -> str:
        config = self.config
        if config.complete is not None:
            until = f"until {config.complete.text}"
        else:
            until = config.count.text if config.count is not None else "all parts"
        return f"{until}{f' of {config.key.text}' if config.key is not None else ''}"

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key or Expression.parse(f'get(event, "{self.config.part}.id", run.id)')

    def shape(self) -> Mapping[str, Any]:
        return {"action": "collect"}

    # The state: "" -> [events, largest event time, the part that the whole is itself], `i` + number -> [order, item].

    def on_record(self, context: KeyedContext, event: Any) -> None:
        part = event.get(self.config.part) if isinstance(event, dict) else None
        part = part if is_part(part) else None
        count, latest_ms, within = context.get() or (
            0,
            context.timestamp_ms,
            part.get("within") if part else None,
        )
        if count >= self.config.limit:
            raise RecordError(
                f"{count:,} events of this key are held already, and the whole is not complete; raise 'limit'"
            )
        latest_ms = max(latest_ms, context.timestamp_ms)
        context.put(f"i{count:06d}", self._entry(context, event, part))
        if self._is_complete(context, event, part, count + 1):
            context.cancel_timer(TIMEOUT, kind="wall")
            self._go_on(context, count + 1, latest_ms, within, is_complete=True)
            return
        context.put("", [count + 1, latest_ms, within])
        if count == 0:
            context.set_timer(TIMEOUT, context.now_ms + in_ms(self.config.timeout), kind="wall")

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        count, latest_ms, within = context.get()
        self._go_on(context, count, latest_ms, within, is_complete=False)

    def _entry(self, context: KeyedContext, event: Any, part: Any) -> list[Any]:
        """What is kept of an event: what it is sorted by, and the item."""
        order = part["index"] if part else 0
        if self._order is not None:
            order = self._order(context, event)
            if isinstance(order, bool) or not isinstance(order, int | float | str):
                raise RecordError("order: needs a number or text to sort by")
        if self._item is not None:
            return [order, self._item(context, event)]
        if part is not None:
            return [order, {k: value for k, value in event.items() if k != self.config.part}]
        return [order, event]

    def _is_complete(self, context: KeyedContext, event: Any, part: Any, count: int) -> bool:
        if self._complete is not None:
            return bool(self._complete(context, event, self._items(context, count)))
        if self._count is not None:
            total = self._count(context, event)
        elif part is not None:
            total = part["total"]
        else:
            raise RecordError(
                f"the event has no field '{self.config.part}' that 'split' made; let the stages in between keep it,"
                " or say with 'count' or 'complete' when all are there"
            )
        if isinstance(total, bool) or not isinstance(total, int | float) or total < 1:
            raise RecordError("count: needs a number from 1, how many events belong together")
        return count >= total

    def _items(self, context: KeyedContext, count: int) -> list[Any]:
        """The items in their order; numbers come before texts, and equals as they came."""
        held = [context.get(f"i{number:06d}") for number in range(count)]
        held.sort(key=lambda entry: (isinstance(entry[0], str), entry[0]))
        return [item for _, item in held]

    def _go_on(
        self, context: KeyedContext, count: int, latest_ms: int, within: Any, *, is_complete: bool
    ) -> None:
        after = EMIT if is_complete else self.config.on_timeout
        if after != DROP:
            event = {
                "key": decode_key(context.key),
                "items": self._items(context, count),
                "complete": is_complete,
            }
            if within is not None:
                event[self.config.part] = within
            context.forward(
                event,
                timestamp_ms=time_after_wait(context, latest_ms, 0),
                to="" if after == EMIT else after,
            )
        context.delete()
        for number in range(count):
            context.delete(f"i{number:06d}")

    @cached_property
    def _count(self) -> Evaluation | None:
        return evaluation(self.config.count, "count")

    @cached_property
    def _complete(self) -> Evaluation | None:
        return evaluation(self.config.complete, "complete", "items")

    @cached_property
    def _item(self) -> Evaluation | None:
        return evaluation(self.config.item, "item")

    @cached_property
    def _order(self) -> Evaluation | None:
        return evaluation(self.config.order, "order")
