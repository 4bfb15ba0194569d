"""Posts messages to a Slack-style webhook."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from headrace.connectors.connection import text_setting
from headrace.connectors.http_call.answer import failure_of, is_success
from headrace.connectors.http_call.client import HttpClient, Request
from headrace.connectors.notify.config import SlackConfig
from headrace.connectors.url_template import check_url
from headrace.runtime.contracts.call import Call, Caller, Opening, Outcome
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression.errors import described


class SlackCaller(Caller):
    """The URL is a secret, so that messages name its host only."""

    def __init__(self, config: SlackConfig, opening: Opening) -> None:
        self._client = HttpClient(config, opening.settings)
        self._clock = opening.clock
        self._url = text_setting("slack.url", opening.settings["url"])
        try:
            check_url(self._url)
        except RecordError as error:
            raise SettingsError(f"slack.{error}") from None

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._sent(call) for call in calls))

    async def close(self) -> None:
        await self._client.close()

    async def _sent(self, call: Call) -> Outcome:
        try:
            body = orjson.dumps(_message(call))
            headers = {"Content-Type": "application/json"}
            answer = await self._client.send(Request("POST", self._url, headers, body))
            if not is_success(answer.status, ("2xx",)):
                raise failure_of("POST", answer, self._clock.now_ms())
        except RecordError as error:
            return Outcome(error=error)
        return Outcome((call.event,))


def _message(call: Call) -> dict[str, Any]:
    fields = call.arguments.get("fields")
    if fields is not None and not isinstance(fields, dict):
        raise RecordError(f"slack.fields: must be a map, found {described(fields)}")
    blocks = call.arguments.get("blocks")
    if blocks is not None and not isinstance(blocks, list):
        raise RecordError(f"slack.blocks: must be a list, found {described(blocks)}")
    text = call.arguments["text"]
    return {
        **(fields or {}),
        "text": text if isinstance(text, str) else orjson.dumps(text).decode(),
        **({"blocks": blocks} if blocks else {}),
    }
