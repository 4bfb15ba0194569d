"""Answers that come in pages: where the next one is, and what is collected of them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urljoin

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from headrace.connectors.http_call.answer import Answer, Decoding
from headrace.connectors.http_call.client import Request
from headrace.connectors.http_call.links import next_link
from headrace.connectors.http_call.request import with_query
from headrace.connectors.url_template import check_url, origin_of
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.contracts.call import CallFailedError
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.computation import Computation
from headrace.runtime.expression.errors import described
from headrace.runtime.expression.schema import expression_schema

ANSWER_NAMES: Final = ("body", "status", "headers")


class _OfAnswer:
    """Limits an expression to what is known of an answer."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return expression_schema(Expression.parse, Expression, frozenset(ANSWER_NAMES))


AnswerExpression = Annotated[Expression, _OfAnswer()]


class PagesConfig(ActionConfig):
    """How to go on; exactly one of `link`, `next`, `cursor`."""

    items: AnswerExpression | None = Field(
        None, description="the list of a page, such as body.data; otherwise the body is the list"
    )
    link: bool = Field(False, description="the header `Link` names the next page (RFC 8288)")
    next: AnswerExpression | None = Field(
        None, description="the URL of the next page, such as body.next; null ends"
    )
    cursor: AnswerExpression | None = Field(
        None, description="where the next page begins, such as body.meta.after; null or empty ends"
    )
    parameter: str = Field(
        "cursor", description="with `cursor`: the query parameter that takes it", min_length=1
    )
    limit: int = Field(
        100, ge=1, le=10_000, description="pages at most; when there are more the record fails"
    )

    def problems(self) -> Iterable[str]:
        """What is wrong with these fields beyond their types."""
        ways = [self.link, self.next is not None, self.cursor is not None]
        if sum(ways) != 1:
            yield "pages: needs exactly one of link, next, cursor"


class Pages:
    """Fetches page after page and collects their items."""

    def __init__(self, config: PagesConfig, decode: Decoding) -> None:
        self._config = config
        self._decode = decode
        self._items = _computation("pages.items", config.items)
        self._next = _computation("pages.next", config.next)
        self._cursor = _computation("pages.cursor", config.cursor)

    async def collect(
        self, request: Request, fetch: Callable[[Request], Awaitable[Answer]]
    ) -> tuple[list[Any], Answer]:
        """All items in their order, and the last answer. `fetch` raises for answers that are failures.

        Raises:
            CallFailedError: there are too many pages, they go round, or lead to another host.
            RecordError: an expression failed for an answer.
        """
        items: list[Any] = []
        seen = {request.url}
        first: Request | None = request
        following = first
        for _ in range(self._config.limit):
            assert following is not None
            answer = await fetch(following)
            body = answer.decoded(self._decode)
            items += self._items_of(body, answer)
            following = self._following(request, following, body, answer)
            if following is None:
                return items, answer
            if following.url in seen:
                raise CallFailedError(
                    f"the pages of {origin_of(request.url)} go round: one of them names itself or an earlier one as next"
                )
            seen.add(following.url)
        raise CallFailedError(
            f"{origin_of(request.url)} has more than {self._config.limit} pages; see 'pages.limit'"
        )

    def _items_of(self, body: Any, answer: Answer) -> list[Any]:
        found = self._items(body, answer.status, answer.headers) if self._items else body
        if not isinstance(found, list):
            raise RecordError(f"pages.items: must be the list of a page, found {described(found)}")
        return found

    def _following(
        self, original: Request, request: Request, body: Any, answer: Answer
    ) -> Request | None:
        if self._cursor is not None:
            cursor = self._cursor(body, answer.status, answer.headers)
            if cursor is None or cursor == "" or cursor is False:
                return None
            url = with_query(original.url, {self._config.parameter: cursor})
            return replace(original, url=url)
        if self._next is not None:
            target = self._next(body, answer.status, answer.headers)
        else:
            target = next_link(answer.headers.get("link", ""))
        if target is None or target == "":
            return None
        if not isinstance(target, str):
            raise RecordError(f"pages.next: must be a URL or null, found {described(target)}")
        url = urljoin(request.url, target)
        check_url(url)
        if origin_of(url) != origin_of(original.url):
            raise CallFailedError(
                f"the next page of {origin_of(original.url)} is at {origin_of(url)}, which would get what is meant for the former"
            )
        return replace(original, url=url)


def _computation(field: str, expression: Expression | None) -> Computation | None:
    return None if expression is None else Computation(field, expression, *ANSWER_NAMES)
