"""Carries out the requests of one `http` stage."""

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace.connectors.http_call.answer import Answer, failure_of, is_success
from headrace.connectors.http_call.client import HttpClient, Request
from headrace.connectors.http_call.config import HttpConfig
from headrace.connectors.http_call.pages import Pages
from headrace.connectors.http_call.request import CONTENT_TYPES, encoded, headers_of, url_of
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Opening, Outcome
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SENDING_EVENTS = frozenset({"POST", "PUT", "PATCH"})


class HttpCaller(Caller):
    """One request per call; those of a batch are sent at the same time."""

    def __init__(self, config: HttpConfig, opening: Opening) -> None:
        self._config = config
        self._clock = opening.clock
        self._url = UrlTemplate(str(config.url.value))
        self._client = HttpClient(config, opening.settings)
        self._pages = Pages(config.pages, config.decode) if config.pages is not None else None

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._outcome(call) for call in calls))

    async def close(self) -> None:
        await self._client.close()

    async def _outcome(self, call: Call) -> Outcome:
        try:
            return Outcome((await self._carried_out(call),))
        except RecordError as error:
            return Outcome(error=error)

    async def _carried_out(self, call: Call) -> Any:
        config = self._config
        if (config.into is not None or config.merge) and not isinstance(call.event, dict):
            raise RecordError(
                f"the answer is added to events that are maps, found {described(call.event)}"
            )
        request = self._request(call)
        body: Any
        if self._pages is not None:
            body, answer = await self._pages.collect(request, self._fetch)
        else:
            answer = await self._fetch(request)
            if config.into is None and not config.merge:
                return call.event
            body = answer.decoded(config.decode)
        if config.merge:
            if not isinstance(body, dict):
                raise CallFailedError(
                    f"the body of the answer is merged into the event, so it must be a map, found {_kind(body)}",
                    status=answer.status,
                )
            return {**call.event, **body}
        assert config.into is not None
        if config.answer == "full":
            body = {"status": answer.status, "headers": dict(answer.headers), "body": body}
        return {**call.event, config.into: body}

    def _request(self, call: Call) -> Request:
        config = self._config
        headers = headers_of(call.arguments)
        named = {name.lower() for name in headers}
        key = config.idempotency_header
        if key and config.method not in _SAFE and key.lower() not in named:
            headers[key] = call.id
        body = None
        if config.body is not None or config.method in _SENDING_EVENTS:
            value = call.event if config.body is None else call.arguments["body"]
            body = encoded(value, config.content)
            if "content-type" not in named:
                headers["Content-Type"] = CONTENT_TYPES[config.content]
        return Request(config.method, url_of(self._url, call.arguments), headers, body)

    async def _fetch(self, request: Request) -> Answer:
        answer = await self._client.send(request)
        if not is_success(answer.status, self._config.success):
            raise failure_of(request.method, answer, self._clock.now_ms())
        return answer


def _kind(value: Any) -> str:
    return "nothing" if value is None else described(value)
