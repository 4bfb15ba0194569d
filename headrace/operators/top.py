"""`top`: the first of each key in a ranking."""

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import islice
from struct import Struct
from typing import Any, Final, Literal

import orjson
from pydantic import Field

from headrace.operators.evaluation import Evaluation, RecordExpression, evaluation
from headrace.operators.identity import identity_of
from headrace.operators.waiting import in_ms
from headrace.runtime.contracts.action import ActionConfig, KeyedAction, KeyedContext
from headrace.runtime.duration import Duration
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.task.records import decode_key

_FLOAT: Final = Struct(">d")
_SIGN: Final = 1 << 63
_ALL_BITS: Final = (1 << 64) - 1
SENT = "sent"


class TopConfig(ActionConfig):
    """The ranking, and what is kept of each entry."""

    key: Expression | None = Field(
        None, description="every key has a ranking of its own; the record's own key when left out"
    )
    by: RecordExpression = Field(
        description="the number or text that entries are ranked by, such as `event.score`"
    )
    k: int = Field(10, ge=1, le=10_000, description="how many entries the result has at most")
    id: RecordExpression | None = Field(
        None,
        description="a newer record of the same id, by event time, replaces the older; every record is an entry when left out",
    )
    item: RecordExpression | None = Field(
        None, description="what the result holds of an entry; the event when left out"
    )
    order: Literal["largest", "smallest"] = Field("largest", description="what comes first")
    emit: Literal["updates"] = Field(
        "updates",
        description="send the ranking whenever it has changed, at most once per key and commit",
    )
    ttl: Duration | None = Field(
        None,
        description="with `id`: forget an entry so long after its latest record, in event time",
    )


class Top(KeyedAction):
    """Keeps the first entries of a ranking per key and sends on `{key, items}`, the first one first.

    Of equals, the one that came first is first. With `id` all entries are kept in state, since one that falls lets another up.
    """

    Config = TopConfig
    config: TopConfig

    def specialised(self) -> KeyedAction:
        return self if self.config.id is None else TopOfIds(self.config)

    def problems(self) -> Iterable[str]:
        if self.config.ttl is not None and self.config.id is None:
            yield "has 'ttl' but no 'id'; without ids only the first entries are kept"
        elif self.config.ttl is not None and in_ms(self.config.ttl) == 0:
            yield "ttl: must be longer than nothing"

    def summary(self) -> str:
        config = self.config
        of = f" of {config.key.text}" if config.key is not None else ""
        one = f", one per {config.id.text}" if config.id is not None else ""
        return f"{config.k} {config.order} by {config.by.text}{of}{one}"

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 - the signature of the contract
        return self.config.key

    def shape(self) -> Mapping[str, Any]:
        return {"action": "top", "order": self.config.order, "by": self.config.by.text}

    # The state: "" -> [[by, item], ...] from the smallest to the largest.

    def on_record(self, context: KeyedContext, event: Any) -> None:
        by, item = self._ranked(context, event), self._kept(context, event)
        entries = list(context.get() or ())
        is_largest = self.config.order == "largest"
        where = bisect_left if is_largest else bisect_right
        entries.insert(
            where(entries, order_of(by), key=lambda entry: order_of(entry[0])), [by, item]
        )
        if len(entries) > self.config.k:
            gone = entries.pop(0 if is_largest else -1)
            if gone[0] == by and gone[1] is item:
                return
        context.put("", entries)
        context.at_commit()

    def on_commit(self, context: KeyedContext) -> None:
        items = self._first(context)
        digest = hashlib.blake2b(orjson.dumps(items, default=bytes.hex), digest_size=16).hexdigest()
        if digest == context.get(SENT):
            return
        context.put(SENT, digest)
        context.forward(
            {"key": decode_key(context.key), "items": items},
            timestamp_ms=max(0, context.watermark_ms),
        )

    def _first(self, context: KeyedContext) -> list[Any]:
        """The items of the ranking, the first one first."""
        items = [item for _, item in context.get() or ()]
        return items[::-1] if self.config.order == "largest" else items

    def _ranked(self, context: KeyedContext, event: Any) -> int | float | str:
        by = self._by(context, event)
        if isinstance(by, bool) or not isinstance(by, int | float | str):
            raise RecordError("by: needs a number or text to rank by")
        if isinstance(by, float) and math.isnan(by):
            raise RecordError("by: is not a number, which has no place in a ranking")
        return by

    def _kept(self, context: KeyedContext, event: Any) -> Any:
        return event if self._item is None else self._item(context, event)

    @cached_property
    def _by(self) -> Evaluation:
        return Evaluation(self.config.by, "by")

    @cached_property
    def _item(self) -> Evaluation | None:
        return evaluation(self.config.item, "item")


class TopOfIds(Top):
    """A ranking of which each id has one place, that of its newest record.

    The state: `e` + id -> [name of the place, event time], `r` + place + number -> [item], `n` -> the next number. Places sort as
    the ranking does; equals go by the number, which is in the order of arrival.
    """

    def shape(self) -> Mapping[str, Any]:
        assert self.config.id is not None
        return {**super().shape(), "id": self.config.id.text}

    def on_record(self, context: KeyedContext, event: Any) -> None:
        place = f"r{place_of(self._ranked(context, event), self.config.order)}"
        item = self._kept(context, event)
        entry = f"e{identity_of(self._id(context, event), 'id')}"
        before = context.get(entry)
        if before is not None and context.timestamp_ms < before[1]:
            return  # older than what is known
        if before is not None and before[0].startswith(f"{place} "):
            name = before[0]
        else:
            number = context.get("n") or 0
            context.put("n", number + 1)
            name = f"{place} {number:016d}"
            if before is not None:
                context.delete(before[0])
        ttl_ms = None
        if self.config.ttl is not None:
            ttl_ms = in_ms(self.config.ttl) + max(0, context.timestamp_ms - context.watermark_ms)
        context.put(entry, [name, context.timestamp_ms], ttl_ms=ttl_ms)
        context.put(name, [item], ttl_ms=ttl_ms)
        context.at_commit()

    def _first(self, context: KeyedContext) -> list[Any]:
        return [item for _, (item,) in islice(context.items("r", "s"), self.config.k)]

    @cached_property
    def _id(self) -> Evaluation:
        assert self.config.id is not None
        return Evaluation(self.config.id, "id")


def order_of(value: float | str) -> tuple[bool, float | str]:
    """What to compare ranks by: numbers are smaller than texts."""
    return isinstance(value, str), value


def place_of(value: float | str, order: str) -> str:
    """A text whose bytes sort as ranks do: from the smallest, or from the largest.

    Numbers sort as floats of 64 bits; a text is its bytes in hexadecimal digits and an end that sorts before (or, from the
    largest, behind) all digits, so that a text that goes on is larger.
    """
    is_largest = order == "largest"
    if isinstance(value, str):
        data = value.encode()
        return f"0{bytes(255 - b for b in data).hex()}~" if is_largest else f"1{data.hex()}!"
    try:
        bits = int.from_bytes(_FLOAT.pack(value + 0.0))
    except OverflowError:
        raise RecordError("by: the number is too large to rank by") from None
    bits = bits ^ _ALL_BITS if bits & _SIGN else bits | _SIGN
    return f"1{bits ^ _ALL_BITS:016x}" if is_largest else f"0{bits:016x}"
