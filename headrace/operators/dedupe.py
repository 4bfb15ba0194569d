"""`dedupe`: passes the first record of each identity, or the last."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from headrace.operators.evaluation import Evaluation, RecordExpression, evaluation
from headrace.operators.identity import identity_of
from headrace.operators.waiting import in_ms
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext, TimerKind
from headrace.runtime.duration import Duration, format_duration
from headrace.runtime.expression import Expression


class DedupeConfig(ActionConfig):
    """`within` or `max`, or both, bound what is remembered."""

    key: Expression | None = Field(
        None,
        description="records of one key are compared with each other; the record's own key when left out",
    )
    by: RecordExpression | None = Field(
        None,
        description="what tells records of one key apart, any JSON value; the key itself when left out",
    )
    within: Duration | None = Field(
        None,
        description="how long, in event time, an identity is remembered: records less than this apart are duplicates",
    )
    refresh: bool = Field(
        False,
        description="count `within` from the latest record of the identity, not from the first",
    )
    max: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="identities remembered per key; of more, the one that was seen first longest ago is forgotten",
    )
    keep: Literal["first", "last"] = Field(
        "first",
        description="pass the first record at once, or the last one by event time when `within` is over",
    )


class Dedupe(KeyedAction):
    """Passes one record of each identity and drops its duplicates.

    Event time decides, whatever the order in which records come, as long as none comes more than `within` late. With
    `keep: last` the record goes on once the watermark has passed the end of `within`; a record whose time was over before it
    came is late.
    """

    Config = DedupeConfig
    config: DedupeConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.within is None and config.max is None:
            yield "needs 'within' (such as 1h), 'max' or both: how long, or how many, identities are remembered"
        if config.within is not None and in_ms(config.within) == 0:
            yield "within: must be longer than nothing"
        if config.within is None and config.refresh:
            yield "has 'refresh' but no 'within' to count anew"
        if config.keep == "last" and config.within is None:
            yield "keep: last needs 'within': how long to wait for the last one"
        if config.keep == "last" and config.max is not None:
            yield "has both 'keep: last' and 'max'; with 'last' no identity can be forgotten early"
        if config.max is not None and config.by is None:
            yield "has 'max' but no 'by': without it a key has only one identity"

    def summary(self) -> str:
        config = self.config
        parts = [config.key.text if config.key else "", config.by.text if config.by else ""]
        words = [f"{config.keep} of {', '.join(filter(None, parts)) or 'each key'}"]
        if config.within is not None:
            words.append(f"within {format_duration(config.within)}")
        if config.max is not None:
            words.append(f"of the latest {config.max}")
        return " ".join(words)

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key

    @property
    def is_per_record(self) -> bool:
        return self.config.keep == "first"

    @property
    def delay_ms(self) -> int:
        return 0 if self.is_per_record else self._within_ms

    def shape(self) -> Mapping[str, Any]:
        config = self.config
        return {
            "action": "dedupe",
            "by": config.by.text if config.by else None,
            "keep": config.keep,
            "is_counted": config.max is not None,
        }

    def on_record(self, context: KeyedContext, event: Any) -> None:
        identity = ""
        if self._by is not None:
            identity = identity_of(self._by(context, event), "by")
        if self.config.keep == "last":
            self._hold(context, event, identity)
        elif self.config.max is None:
            self._pass_first(context, event, identity)
        else:
            self._pass_counted(context, event, identity, self.config.max)

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:  # noqa: ARG002 - the signature of the contract
        if self.config.keep == "first":
            self._forget(context)
            return
        _, last_ms = context.get(f"t{name}")
        (event,) = context.get(f"e{name}")
        context.delete(f"t{name}")
        context.delete(f"e{name}")
        context.forward(event, timestamp_ms=last_ms)

    # ---- keep: first, remembered for a time only

    def _pass_first(self, context: KeyedContext, event: Any, identity: str) -> None:
        name, time_ms = f"t{identity}", context.timestamp_ms
        seen_ms = context.get(name)
        is_new = self._is_new(seen_ms, time_ms)
        if seen_ms is None or (time_ms > seen_ms and (is_new or self.config.refresh)):
            # Twice as long as `within`, so that a duplicate is found that comes as much as `within` late itself.
            ahead_ms = max(0, time_ms - context.watermark_ms)
            context.put(name, time_ms, ttl_ms=2 * self._within_ms + ahead_ms)
        if is_new:
            context.forward(event)

    # ---- keep: first, so many at most: `t` + identity -> [time, number], `n` + number -> [identity, when to forget it],
    # "" -> [identities, number of the oldest, next number]; numbers may be missing in between

    def _pass_counted(
        self, context: KeyedContext, event: Any, identity: str, identities_max: int
    ) -> None:
        name, time_ms = f"t{identity}", context.timestamp_ms
        seen_ms, number = context.get(name) or (None, None)
        is_new = self._is_new(seen_ms, time_ms)
        if seen_ms is None or (time_ms > seen_ms and (is_new or self.config.refresh)):
            count, oldest, following = context.get() or (0, 0, 0)
            if number is None or is_new:  # it is seen for the first time, or anew
                if number is None:
                    count += 1
                else:
                    context.delete(f"n{number:016d}")
                number, following = following, following + 1
            end_ms = max(time_ms, context.watermark_ms) + 2 * self._within_ms
            context.put(name, [time_ms, number])
            context.put(f"n{number:016d}", [identity, end_ms])
            if count > identities_max:
                oldest, (forgotten, _) = self._oldest(context, oldest)
                context.delete(f"n{oldest:016d}")
                context.delete(f"t{forgotten}")
                count -= 1
            context.put("", [count, oldest, following])
            if count == 1 and self.config.within is not None:
                context.set_timer("", end_ms)
        if is_new:
            context.forward(event)

    def _forget(self, context: KeyedContext) -> None:
        """Drop the identities whose time is over, and come back for the oldest of the others."""
        count, oldest, following = context.get()
        while count:
            oldest, (identity, end_ms) = self._oldest(context, oldest)
            if end_ms > context.watermark_ms:
                context.put("", [count, oldest, following])
                context.set_timer("", end_ms)
                return
            context.delete(f"n{oldest:016d}")
            context.delete(f"t{identity}")
            count -= 1
        context.delete()

    def _oldest(self, context: KeyedContext, number: int) -> tuple[int, Any]:
        """The first number from this one on that is there, and its entry."""
        while (entry := context.get(f"n{number:016d}")) is None:
            number += 1
        return number, entry

    # ---- keep: last: `t` + identity -> [first time, last time], `e` + identity -> [event]

    def _hold(self, context: KeyedContext, event: Any, identity: str) -> None:
        within_ms, time_ms = self._within_ms, context.timestamp_ms
        held = context.get(f"t{identity}")
        if held is None and time_ms + within_ms <= context.watermark_ms:
            context.late(event)
            return
        first_ms, last_ms = held or (time_ms, time_ms)
        if time_ms + within_ms <= first_ms:
            context.forward(event)  # so long before the held ones that it is none of them
            return
        if time_ms >= (last_ms if self.config.refresh else first_ms) + within_ms:
            # The time of the held ones is over, although another input holds the watermark back.
            (before,) = context.get(f"e{identity}")
            context.forward(before, timestamp_ms=last_ms)
            first_ms = last_ms = time_ms
        if time_ms >= last_ms:
            last_ms = time_ms
            context.put(f"e{identity}", [event])
        context.put(f"t{identity}", [first_ms, last_ms])
        context.set_timer(identity, (last_ms if self.config.refresh else first_ms) + within_ms)

    def _is_new(self, seen_ms: int | None, time_ms: int) -> bool:
        """Whether a record is no duplicate of one seen at another time."""
        if seen_ms is None:
            return True
        return self.config.within is not None and abs(time_ms - seen_ms) >= self._within_ms

    @cached_property
    def _within_ms(self) -> int:
        return in_ms(self.config.within) if self.config.within is not None else 0

    @cached_property
    def _by(self) -> Evaluation | None:
        return evaluation(self.config.by, "by")
