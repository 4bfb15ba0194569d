"""What a document may say, and what it is told when it says something else."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.connectors.webhook.trigger import ROOM_BYTES, Webhook
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.feed import Route
from headrace.runtime.flow import describe_validation
from tests.unit.connectors.webhook.asking import hook, route_of

GITHUB = {"scheme": "github", "secrets": "${secret.HOOK}"}


def problems(**config: Any) -> list[str]:
    return list(Webhook(Webhook.Config.model_validate({"verify": "none", **config})).problems())


def test_names_are_made_of_flow_and_stage() -> None:
    action = Webhook(Webhook.Config.model_validate({"verify": GITHUB, "mode": "sync"}))

    placed = action.placed("shop", "hook")
    route = placed.feed()

    assert isinstance(route, Route)
    assert placed.source().topics == ("shop.hook",)
    assert [topic.name for topic in route.topics()] == ["shop.hook", "shop.hook.replies"]
    assert route.path() == "/hooks/shop/hook"
    assert placed.summary() == "/hooks/shop/hook (github)"
    assert {name: str(part.value) for name, part in route.settings().items()} == {
        "secret_0": "${secret.HOOK}"
    }


def test_the_topic_is_made_with_room_for_the_largest_body() -> None:
    (topic,) = route_of(limits={"body": 25_000_000}, partitions=3).topics()

    assert topic.config == {"max.message.bytes": str(25_000_000 + ROOM_BYTES)}
    assert topic.partitions == 3


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"headers": "Authorization"}, "'authorization' holds a secret"),
        ({"headers": "*"}, "no name of a header"),
        ({"headers": "c*"}, "'cookie' holds a secret"),
        ({"headers": "webhook-*"}, "'webhook-request' is written by headrace itself"),
        (
            {
                "verify": {"scheme": "token", "header": "X-T", "secrets": "${secret.T}"},
                "headers": "x-t",
            },
            "'x-t' holds a secret",
        ),
        ({"verify": {**GITHUB, "secrets": "open"}}, "does not belong into a document"),
        ({"verify": {**GITHUB, "secrets": "${event.a}"}}, "found 'event'"),
        ({"cloudevents": True, "format": "form"}, "json, text or bytes"),
        ({"idempotency": {"header": "a", "key": "event.b"}}, "either 'header' or 'key'"),
        ({"idempotency": {"header": "cookie"}}, "'cookie' holds a secret"),
        ({"idempotency": {"header": "a*"}}, "must be one header"),
        ({"path": "hooks"}, "must be like /hooks/github"),
        ({"path": "/hooks/../state"}, "must be like /hooks/github"),
        ({"path": "/state/x"}, "choose another"),
        ({"topic": "a b"}, "a topic's name"),
        ({"key": "results.x"}, "results"),
        ({"ack_timeout": "0s"}, "longer than 0"),
        ({"limits": {"rate": {"limit": 0}}}, "greater than or equal to 1"),
        ({"methods": ["GET"]}, "POST"),
        ({"limits": {"body": 2_000, "held": 1_000}}, "room for one 'body'"),
        ({"verify": "github"}, ""),
        ({"start": "yesterday"}, "earliest, latest"),
    ],
)
def test_what_cannot_work_or_would_give_secrets_away_is_refused(config: Any, told: str) -> None:
    try:
        found = "\n".join(problems(**config))
    except ValueError as error:
        found = str(error)

    assert found
    assert told in found


@pytest.mark.parametrize(
    "config",
    [
        {"verify": GITHUB},
        {"verify": {"scheme": "stripe", "secrets": "${secret.S}"}},
        {"verify": {"scheme": "basic", "user": "ann", "secrets": "${secret.S}"}},
        {"format": "form"},
        {"format": "text", "content_types": ["text/csv"]},
        {"cloudevents": True},
        {"idempotency": {"header": "x-delivery"}},
    ],
)
def test_a_sample_is_a_request_that_the_webhook_takes(config: Any) -> None:
    secrets = ["one"] if "verify" in config else []
    given = dict(config)
    if secrets:
        given["verify"] = {**config["verify"]}
        del given["verify"]["secrets"]

    async def main() -> int:
        async with hook(secrets=secrets, **given) as made:
            clock = SystemClock()
            made.clock.at_ms = clock.now_ms()
            sample = route_of(**config).sample({"secret_0": "one"}, clock)
            assert sample is not None
            answered = await made.send(sample.body, sample.headers, method=sample.method)
            return answered.status

    assert asyncio.run(main()) in (200, 202)


@pytest.mark.parametrize(
    ("verify", "problem"),
    [
        ({"type": "github"}, "'verify' needs 'scheme', which says what kind it is"),
        ({"scheme": "gitub", "secrets": ["x"]}, "did you mean 'github'?"),
    ],
)
def test_a_scheme_that_is_missing_or_unknown_is_told(
    verify: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValidationError) as told:
        Webhook.Config.model_validate({"path": "/x", "verify": verify})

    texts = [
        text
        for _, text in describe_validation(
            told.value, Webhook.Config, {"path": "/x", "verify": verify}
        )
    ]
    assert problem in " ".join(texts)
