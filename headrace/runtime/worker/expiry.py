"""Stops a flow before it writes records that the retention of their topic would delete at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import re2

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Message
from headrace.runtime.duration import format_duration
from headrace.runtime.errors import DataLossError
from headrace.runtime.plan import Plan, PlannedSource
from headrace.runtime.worker.topics import Expiry, TopicsInUse, expiries


class ExpiryWatch:
    """Looks at the first and the last record of every batch.

    Brokers delete by record timestamp, and a flow keeps its records' event times: a replay of old records into a topic with
    the default retention would vanish within minutes.
    """

    def __init__(self, plans: Sequence[Plan], topics: TopicsInUse, clock: Clock) -> None:
        self._clock = clock
        self._by_topic: dict[str, Expiry] = {}
        found: Mapping[str, Expiry] = expiries(plans, topics)
        for plan in plans:
            expiry = found.get(plan.name)
            for sub in plan.sub_topologies if expiry else ():
                for source in sub.sources:
                    if source.via == "table":
                        continue  # rows are looked up; nothing is written with their times
                    for topic in _topics(source, topics):
                        known = self._by_topic.get(topic)
                        if expiry and (known is None or expiry.retention_ms < known.retention_ms):
                            self._by_topic[topic] = expiry

    def check(self, messages: Sequence[Message]) -> None:
        """Look at a batch before it is processed.

        Raises:
            DataLossError: what would come of it would not last.
        """
        if not self._by_topic:
            return
        now_ms = self._clock.now_ms()
        for message in (messages[0], messages[-1]):
            expiry = self._by_topic.get(message.topic())
            kind, timestamp = message.timestamp()
            if expiry and kind and timestamp < now_ms - expiry.retention_ms:
                kept = format_duration(timedelta(milliseconds=expiry.retention_ms))
                raise DataLossError(
                    f"flow '{expiry.flow}': stage '{expiry.stage}' would write to '{expiry.sink}' with event times older than the"
                    f" {kept} for which that topic keeps records, beginning with {message.topic()}[{message.partition()}]"
                    f"@{message.offset()}; the broker would delete them at once. Set retention.ms=-1 or"
                    " message.timestamp.type=LogAppendTime on the topic, or `timestamp: now` or `expired: allow` on the stage"
                )


def _topics(source: PlannedSource, topics: TopicsInUse) -> list[str]:
    if source.pattern is None:
        return list(source.topics)
    pattern = re2.compile(source.pattern)
    return [name for name in topics.described if pattern.fullmatch(name)]
