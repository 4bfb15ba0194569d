"""Asks the workers of a group about their state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from headrace.runtime import brokers
from headrace.runtime.address import Address, parse_address
from headrace.runtime.errors import HeadraceError, RetriableError, SettingsError
from headrace.runtime.flow.model import slug
from headrace.runtime.http.client import Answer, ask
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.client_ids import address_of

PAGE = 1_000


@dataclass(frozen=True)
class Asked:
    """What was found, key by key; `has_more` tells whether there is more than was asked for."""

    items: list[dict[str, Any]]
    has_more: bool = False


class Asking:
    """Asks one worker after the other until one answers."""

    def __init__(self, group: str, workers: list[Address], token: str | None) -> None:
        self._group = group
        self._workers = workers
        self._token = token

    @classmethod
    def of_group(cls, settings: WorkerSettings, name: str) -> "Asking":
        """The workers of the group of this name, as the broker knows them.

        Raises:
            SettingsError: there is none, or none that answers HTTP.
        """
        group = f"{settings.prefix}.{slug(name)}"
        admin = brokers.connect(settings.engine, settings.brokers, settings.client).admin()
        try:
            members = admin.group_members(group)
        finally:
            admin.close()
        if not members:
            raise SettingsError(
                f"no worker of group '{group}' runs; look at --brokers and --prefix, and name the flow's group with --group where"
                " its document has one"
            )
        found = [address_of(one.client_id) for one in members]
        workers = [parse_address(one) for one in found if one is not None]
        if not workers:
            raise SettingsError(
                f"no worker of group '{group}' answers HTTP; start workers with --http 127.0.0.1:8080"
            )
        token = settings.http_token
        return cls(group, workers, token.get_secret_value() if token else None)

    def one(self, flow: str, stage: str, key: str, query: Mapping[str, str | None]) -> Asked:
        """What is stored under a key.

        Raises:
            HeadraceError: nothing is, or nobody can tell.
        """
        item = self._document(f"{_path(flow, stage)}/{_quoted(key)}{_query(query)}")
        return Asked([item], has_more="next" in item)

    def many(self, flow: str, stage: str, query: Mapping[str, str | None], limit: int) -> Asked:
        """What is stored under at most `limit` keys, in their order.

        Raises:
            HeadraceError: nobody can tell.
        """
        items: list[dict[str, Any]] = []
        following: str | None = None
        while len(items) < limit:
            page = {**query, "limit": str(min(PAGE, limit - len(items))), "next": following}
            document = self._document(f"{_path(flow, stage)}{_query(page)}")
            items += document["items"]
            following = document["next"]
            if following is None:
                break
        return Asked(items, has_more=following is not None)

    def _document(self, target: str) -> dict[str, Any]:
        failure: HeadraceError | None = None
        for worker in self._workers:
            try:
                answer = ask(worker, target, token=self._token)
            except RetriableError as error:
                failure = error
                continue
            if answer.is_found:
                document: dict[str, Any] = json.loads(answer.body)
                return document
            failure = _failure(worker, answer)
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
        assert failure is not None
        raise failure


def _failure(worker: Address, answer: Answer) -> HeadraceError:
    try:
        detail = str(json.loads(answer.body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = (
            f"{worker} answered {answer.status}; something else than a worker seems to listen there"
        )
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return SettingsError(
            f"{worker} needs its token: set HEADRACE_HTTP_TOKEN to that of the workers"
        )
    return HeadraceError(detail)


def _path(flow: str, stage: str) -> str:
    return f"/state/{_quoted(flow)}/{_quoted(stage)}"


def _quoted(text: str) -> str:
    # Bytes of arguments that are not UTF-8 come as surrogates, and go as the bytes that they were.
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def _query(given: Mapping[str, str | None]) -> str:
    named = {name: value for name, value in given.items() if value is not None}
    return f"?{urlencode(named, errors='surrogateescape')}" if named else ""
