"""What `http` and `hydrate` over HTTP have in common: what a request needs of its record, and where it goes."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from headrace.connectors.url_template import UrlTemplate, origin_of
from headrace.runtime.contracts.call import Outside
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Template


class Asked(Protocol):
    """The config of a request that may have a body; see `RequestConfig`."""

    @property
    def url(self) -> Template: ...
    @property
    def body(self) -> Template | None: ...
    def request_arguments(self) -> dict[str, Template]: ...
    def connection_settings(self) -> dict[str, Template]: ...


class Requesting(Outside):
    """Something that is asked over HTTP, as its config says."""

    config: Asked

    @cached_property
    def url(self) -> UrlTemplate:
        """Of the request; empty where the config has a mistake there."""
        text = self.config.url.value
        return UrlTemplate(text if isinstance(text, str) else "")

    def arguments(self) -> Mapping[str, Template]:
        arguments = self.config.request_arguments()
        if self.config.body is not None:
            arguments["body"] = self.config.body
        return arguments

    def settings(self) -> Mapping[str, Template]:
        return self.config.connection_settings()

    def target(self, arguments: Mapping[str, Any]) -> str:
        try:
            return origin_of(self.url.of(arguments))
        except RecordError:
            return ""
