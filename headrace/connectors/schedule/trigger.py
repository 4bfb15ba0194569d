"""The trigger `schedule`."""

from collections.abc import Iterable

from headrace.connectors.schedule.config import ScheduleConfig
from headrace.connectors.schedule.feed import ScheduleFeed
from headrace.runtime.contracts.action import Source, TriggerAction
from headrace.runtime.duration import format_duration


class Schedule(TriggerAction):
    """Starts a run at the times of a cron expression, or every so often: once per due time in a whole cluster."""

    Config = ScheduleConfig
    config: ScheduleConfig

    def __init__(self, config: ScheduleConfig, flow: str = "", stage: str = "") -> None:
        super().__init__(config)
        self._flow = flow
        self._stage = stage

    def placed(self, flow: str, stage: str) -> "Schedule":
        return Schedule(self.config, flow, stage)

    def problems(self) -> Iterable[str]:
        return self.config.problems()

    def summary(self) -> str:
        config = self.config
        if config.every is not None:
            return f"every {format_duration(config.every)}"
        return f"{config.cron} {config.timezone}"

    def source(self) -> Source:
        return Source(topics=(self._topic,))

    def feed(self) -> ScheduleFeed:
        return ScheduleFeed(self.config, self._topic, self._flow, self._stage)

    @property
    def _topic(self) -> str:
        return self.config.topic or f"{self._flow}.{self._stage}"
