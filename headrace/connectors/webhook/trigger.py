"""`webhook`: starts a run for every request that a worker's HTTP server takes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.connectors.kafka_trigger import parse_start
from headrace.connectors.webhook.config import WebhookConfig
from headrace.connectors.webhook.sample import sample_of
from headrace.connectors.webhook.signatures import verifier_of
from headrace.connectors.webhook.signatures.scheme import setting_name
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import Source, TriggerAction
from headrace.runtime.contracts.feed import FeedPlace, FeedTopic, Route, SampleRequest
from headrace.runtime.expression import Template

ROOM_BYTES = 65_536
"""What a record may have besides its body: key, headers, and what Kafka adds to a batch."""
REPLIES_KEPT_MS = 3_600_000


class Webhook(TriggerAction):
    """Takes requests over HTTP, and answers when Kafka has acknowledged the record. The worker needs the setting `http`."""

    Config = WebhookConfig
    config: WebhookConfig

    def __init__(self, config: Any, flow: str = "flow", stage: str = "stage") -> None:
        super().__init__(config)
        self._flow, self._stage = flow, stage

    def problems(self) -> Iterable[str]:
        return self.config.found_problems()

    def summary(self) -> str:
        return f"{self.path} ({self.config.verify.scheme})"

    def placed(self, flow: str, stage: str) -> "Webhook":
        return Webhook(self.config, flow, stage)

    @property
    def topic(self) -> str:
        """The topic that is written and read."""
        return self.config.topic or f"{self._flow}.{self._stage}"

    @property
    def path(self) -> str:
        """Where it is on the worker's HTTP server."""
        return self.config.path or f"/hooks/{self._flow}/{self._stage}"

    @property
    def reply_topic(self) -> str | None:
        """Where the answers of runs come from; None unless they are waited for."""
        if self.config.mode != "sync":
            return None
        return self.config.reply.topic or f"{self.topic}.replies"

    def source(self) -> Source:
        config = self.config
        return Source(
            topics=(self.topic,),
            value_format="json" if config.format == "form" else config.format,
            start=parse_start(config.start),
            on_data_loss=config.on_data_loss,
        )

    def feed(self) -> "WebhookRoute":
        return WebhookRoute(
            self.config, path=self.path, topic=self.topic, reply_topic=self.reply_topic
        )


class WebhookRoute(Route):
    """The way from a path to a topic."""

    def __init__(
        self, config: WebhookConfig, *, path: str, topic: str, reply_topic: str | None
    ) -> None:
        self.config = config
        self._path = path
        self._topic = topic
        self._reply_topic = reply_topic

    def topics(self) -> Sequence[FeedTopic]:
        config = self.config
        room = config.limits.body + ROOM_BYTES
        found = [
            FeedTopic(
                name=self._topic,
                partitions=config.partitions,
                config={"max.message.bytes": str(room)},
            )
        ]
        if self._reply_topic is not None:
            kept = {"retention.ms": str(REPLIES_KEPT_MS)}
            found.append(FeedTopic(name=self._reply_topic, partitions=1, config=kept))
        return found

    def settings(self) -> Mapping[str, Template]:
        templates = self.config.verify.templates()
        return {setting_name(number): one for number, one in enumerate(templates)}

    def path(self) -> str:
        return self._path

    def application(self, place: FeedPlace) -> Any:
        from headrace.connectors.webhook.application import WebhookApplication

        return WebhookApplication(
            self.config,
            place,
            verifier_of(self.config.verify, place.settings),
            topic=self._topic,
            reply_topic=self._reply_topic,
        )

    def sample(
        self,
        settings: Mapping[str, Any],
        clock: Clock,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
    ) -> SampleRequest:
        verifier = verifier_of(self.config.verify, settings)
        return sample_of(
            self.config, self._path, verifier, clock, body=body, content_type=content_type
        )
