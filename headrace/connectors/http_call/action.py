"""`http`: sends a request for each record."""

from collections.abc import Iterable

from headrace.connectors.http_call.caller import HttpCaller
from headrace.connectors.http_call.config import HttpConfig
from headrace.connectors.http_call.requesting import Requesting
from headrace.runtime.contracts.call import BatchAction, Caller, Opening
from headrace.runtime.expression import Template


class Http(Requesting, BatchAction):
    """Sends a request over HTTP for each record, and adds the answer or passes the event on as it is."""

    Config = HttpConfig
    config: HttpConfig

    @property
    def batch_size(self) -> int:
        """A request has one record, so that time-out and retry are its own."""
        return 1

    @property
    def concurrency(self) -> int:
        return self.config.connections

    def problems(self) -> Iterable[str]:
        config = self.config
        yield from config.request_problems()
        if config.merge and config.into is not None:
            yield "into: goes with 'merge' no more than a field goes with all fields; keep one"
        if config.merge and config.answer == "full":
            yield "answer: the full answer goes into a field; name it with 'into'"
        for status in config.success:
            if not _is_status(status):
                yield "success: holds statuses such as 404 and classes such as 2xx"
        if config.pages is not None:
            yield from config.pages.problems()
            if config.method != "GET":
                yield "pages: are fetched with `method: GET`"
            if config.into is None:
                yield "pages: need 'into', the field that gets the list"

    def summary(self) -> str:
        where = f" into {self.config.into}" if self.config.into else ""
        return f"{self.config.method} {shown_url(self.config.url)}{where}"

    def caller(self, opening: Opening) -> Caller:
        return HttpCaller(self.config, opening)


def shown_url(url: Template) -> str:
    """A URL as the document has it, without user info and query."""
    text = str(url.value).partition("?")[0]
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _is_status(status: int | str) -> bool:
    if isinstance(status, int):
        return 100 <= status <= 599
    return len(status) == 3 and status[0] in "12345" and status[1:] == "xx"
