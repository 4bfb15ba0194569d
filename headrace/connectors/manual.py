"""`manual`: starts a run when somebody asks for it."""

from collections.abc import Iterable, Sequence

from pydantic import Field

from headrace.connectors.publish import is_topic_name
from headrace.runtime.contracts.action import ActionConfig, Format, Source, TriggerAction
from headrace.runtime.contracts.feed import Feed, FeedTopic


class ManualConfig(ActionConfig):
    """Where requests are kept until the flow reads them."""

    topic: str | None = Field(
        None, description="the topic of the requests; `<flow>.<stage>` when left out"
    )
    format: Format = Field("json", description="how values are decoded: json, text or bytes")


class Requests(Feed):
    """The topic that `headrace trigger` writes to; nothing runs in a worker for it."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topics(self) -> Sequence[FeedTopic]:
        return (FeedTopic(name=self._topic),)


class Manual(TriggerAction):
    """Starts a run for each `headrace trigger`, or whatever else writes to its topic."""

    Config = ManualConfig
    config: ManualConfig

    def __init__(self, config: ManualConfig, default_topic: str = "") -> None:
        super().__init__(config)
        self._topic = config.topic or default_topic

    def placed(self, flow: str, stage: str) -> "Manual":
        return Manual(self.config, f"{flow}.{stage}")

    def problems(self) -> Iterable[str]:
        if self.config.topic is not None and not is_topic_name(self.config.topic):
            yield (
                "topic: a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
                f"; found {self.config.topic!r}"
            )

    def summary(self) -> str:
        return self._topic

    def source(self) -> Source:
        return Source(topics=(self._topic,), value_format=self.config.format)

    def feed(self) -> Requests:
        return Requests(self._topic)
