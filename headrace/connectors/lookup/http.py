"""`hydrate` over HTTP: one request for each thing, or one for many keys."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field

from headrace.connectors.http_call.action import shown_url
from headrace.connectors.http_call.answer import Decoding, failure_of, is_success
from headrace.connectors.http_call.client import HttpClient, Request
from headrace.connectors.http_call.pages import ANSWER_NAMES, AnswerExpression
from headrace.connectors.http_call.request import (
    CONTENT_TYPES,
    RequestConfig,
    encoded,
    headers_of,
    url_of,
    with_query,
)
from headrace.connectors.http_call.requesting import Requesting
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.contracts.call import CallFailedError, Opening
from headrace.runtime.contracts.lookup import Finder, Lookup, Question
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Template
from headrace.runtime.expression.computation import Computation


class HttpManyConfig(ActionConfig):
    """One request for many keys, answered with a list of what was found."""

    parameter: str = Field(description="the query parameter that gets the keys", min_length=1)
    style: Literal["comma", "repeat"] = Field(
        "comma", description="how: ids=1,2 (comma) or ids=1&ids=2 (repeat)"
    )
    by: str = Field(description="the field of what is found that has its key", min_length=1)
    keys: int = Field(50, ge=1, le=1_000, description="keys in one request at most")


class HttpLookupConfig(RequestConfig):
    """A request, and what of its answer counts."""

    method: Literal["GET", "POST"] = Field("GET", description="GET or POST")
    body: Template | None = Field(None, description="with POST: what is sent, as JSON")
    decode: Decoding = Field(
        "auto",
        description="how the answer's body is read: auto (by its content type), json, text or base64",
    )
    value: AnswerExpression | None = Field(
        None,
        description="what of the answer counts, such as body.data; otherwise the body; null is nothing",
    )
    absent: tuple[int, ...] = Field((404,), description="statuses that say that there is nothing")
    many: HttpManyConfig | None = Field(
        None, description="one request for many keys: parameter, style, by, keys"
    )


class HttpLookup(Requesting, Lookup):
    """What the request says is what is looked for; with `many`, the key."""

    Config = HttpLookupConfig
    description = "an HTTP service: `url`, and what else a request needs"
    config: HttpLookupConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        yield from config.request_problems()
        if config.body is not None and config.method == "GET":
            yield "'body' needs `method: POST`"
        if config.many is not None:
            parts = [config.url, config.query, config.headers, config.body]
            if any(part is not None and part.reads - {"env", "secret"} for part in parts):
                yield "'many' asks for several records at once, so that the request cannot mention one of them"

    def summary(self) -> str:
        return shown_url(self.config.url)

    @property
    def is_keyed(self) -> bool:
        return self.config.many is not None

    @property
    def batch_size(self) -> int:
        many = self.config.many
        return many.keys if many is not None else min(20, self.config.connections)

    @property
    def concurrency(self) -> int:
        return max(1, min(4, self.config.connections))

    def finder(self, opening: Opening) -> Finder:
        return HttpFinder(self.config, self.url, opening)


class HttpFinder(Finder):
    """Requests of a batch are sent at the same time."""

    def __init__(self, config: HttpLookupConfig, url: UrlTemplate, opening: Opening) -> None:
        self._config = config
        self._url = url
        self._clock = opening.clock
        self._client = HttpClient(config, opening.settings)
        self._value = (
            None if config.value is None else Computation("value", config.value, *ANSWER_NAMES)
        )

    async def find(self, questions: Sequence[Question]) -> Sequence[Any]:
        if self._config.many is not None:
            return await self._found_of_many(self._config.many, questions)
        return await asyncio.gather(*(self._found_or_error(one) for one in questions))

    async def close(self) -> None:
        await self._client.close()

    async def _found_or_error(self, question: Question) -> Any:
        try:
            return await self._found(self._request(question))
        except RecordError as error:
            return error

    async def _found_of_many(
        self, many: HttpManyConfig, questions: Sequence[Question]
    ) -> list[Any]:
        keys = [str(question.key) for question in questions]
        request = self._request(questions[0])
        given = ",".join(keys) if many.style == "comma" else keys
        request = Request(
            request.method,
            with_query(request.url, {many.parameter: given}),
            request.headers,
            request.body,
        )
        found = await self._found(request)
        if found is None:
            found = []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise CallFailedError(
                "many: the answer must be a list of maps; say with 'value' where in it that is"
            )
        by_key = {str(one.get(many.by)): one for one in reversed(found)}
        return [by_key.get(key) for key in keys]

    def _request(self, question: Question) -> Request:
        config = self._config
        headers = headers_of(question.arguments)
        body = None
        if config.method == "POST":
            body = encoded(question.arguments.get("body"), "json")
            headers.setdefault("Content-Type", CONTENT_TYPES["json"])
        return Request(config.method, url_of(self._url, question.arguments), headers, body)

    async def _found(self, request: Request) -> Any:
        answer = await self._client.send(request)
        if answer.status in self._config.absent:
            return None
        if not is_success(answer.status, ("2xx",)):
            raise failure_of(request.method, answer, self._clock.now_ms())
        body = answer.decoded(self._config.decode)
        if self._value is None:
            return body
        return self._value(body, answer.status, answer.headers)
