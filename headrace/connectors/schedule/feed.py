"""The feed of a schedule: writes ticks, on one worker of the cluster."""

from collections.abc import Sequence

from headrace.connectors.schedule.config import ScheduleConfig
from headrace.connectors.schedule.ticker import Ticker
from headrace.runtime.contracts.feed import Exclusive, FeedPlace, FeedTopic
from headrace.runtime.errors import RetriableError, TransactionError

LOOK_AGAIN_S = 1.0
"""The clock may be set meanwhile, so nobody waits for longer without looking at it."""


class ScheduleFeed(Exclusive):
    """Writes a record for each due time, exactly once whatever dies."""

    def __init__(self, config: ScheduleConfig, topic: str, flow: str, stage: str) -> None:
        self._config = config
        self._topic = topic
        self._flow = flow
        self._stage = stage

    def topics(self) -> Sequence[FeedTopic]:
        return (FeedTopic(name=self._topic, partitions=1),)

    def ticker(self, place: FeedPlace) -> Ticker:
        """What `run` steps. For the caller to close."""
        return Ticker(self._config, place, self._topic, self._flow, self._stage)

    def run(self, place: FeedPlace) -> None:
        ticker = self.ticker(place)
        try:
            ticker.begin()
            while not place.stopped.is_set():
                place.stopped.wait(min(ticker.step(), LOOK_AGAIN_S))
        except TransactionError as error:
            # What was committed is known only after reading it: begin anew.
            raise RetriableError(f"the tick was not committed: {error}") from error
        finally:
            ticker.close()
