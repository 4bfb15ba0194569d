"""The answers of a worker: which path is answered by what."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from headrace.runtime.http.client import Answer
from headrace.runtime.http.guard import Guard
from headrace.runtime.http.metrics import MEDIA_TYPE, metrics
from headrace.runtime.http.overview import health, overview
from headrace.runtime.http.parameters import key_request, keys_request, target_of
from headrace.runtime.http.peers import Peers
from headrace.runtime.http.problems import ProblemError, passed_on, problem
from headrace.runtime.http.queries import Queries
from headrace.runtime.http.routes import Routes
from headrace.runtime.worker.worker import Worker

Result = TypeVar("Result")
THREADS = 8
"""Questions that are looked up at once; further ones wait, up to what `Guard` lets in."""
WEBHOOKS_SHOWN = 20
"""Paths of webhooks that an unknown path is answered with."""


class Application:
    """Answers about one worker. `asgi` belongs to its event loop; looking things up is done in threads."""

    def __init__(self, worker: Worker, address: str, token: str | None) -> None:
        self._worker = worker
        self._clock = worker.clock
        self._threads = ThreadPoolExecutor(THREADS, "headrace http")
        self._peers = Peers(worker.new_admin, own=address, token=token, clock=worker.clock)
        self._queries = Queries(worker, self._peers, worker.clock)
        routes = [
            Route("/health", self._health),
            Route("/health/live", self._live),
            Route("/health/ready", self._health),
            Route("/metrics", self._metrics),
            Route("/state", self._overview),
            Route("/state/{target:path}", self._state),
        ]
        handlers: dict[Any, Any] = {HTTPException: self._refused, ProblemError: _problem}
        guarded = Guard(Starlette(routes=routes, exception_handlers=handlers), token=token)
        self.asgi = Routes(worker, guarded)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._peers.close()

    async def _in_thread(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def _refused(self, request: HttpRequest, error: HTTPException) -> Response:  # noqa: ARG002 # what handlers are called with
        """What Starlette itself refuses: unknown paths and methods."""
        status = HTTPStatus(error.status_code)
        details = {
            HTTPStatus.NOT_FOUND: f"there are /state, /health and /metrics{self._webhooks()}",
            HTTPStatus.METHOD_NOT_ALLOWED: "ask with GET",
        }
        return problem(status, details.get(status, error.detail), error.headers)

    def _webhooks(self) -> str:
        """The paths that flows answer, in words; nothing where there are none."""
        paths = sorted(self._worker.feeds.routes) if self._worker.feeds is not None else []
        if not paths:
            return ""
        left = len(paths) - WEBHOOKS_SHOWN
        shown = ", ".join(paths[:WEBHOOKS_SHOWN]) + (f" and {left} more" if left > 0 else "")
        return f", and for webhooks {shown}"

    async def _health(self, request: HttpRequest) -> Response:  # noqa: ARG002 # what routes are called with
        told = health(self._worker)
        return _json(told, HTTPStatus.OK if told["ready"] else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _live(self, request: HttpRequest) -> Response:  # noqa: ARG002 # what routes are called with
        told = health(self._worker)
        return _json(told, HTTPStatus.OK if told["live"] else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metrics(self, request: HttpRequest) -> Response:  # noqa: ARG002 # what routes are called with
        text = await self._in_thread(
            metrics, self._worker, self._queries.stages(), self._worker.clock
        )
        return Response(text, headers={"content-type": MEDIA_TYPE})

    async def _overview(self, request: HttpRequest) -> Response:  # noqa: ARG002 # what routes are called with
        stages = self._queries.stages()
        return _json(
            await self._in_thread(overview, self._worker, stages, self._peers, self._clock)
        )

    async def _state(self, request: HttpRequest) -> Response:
        target = target_of(request)
        stage = self._queries.stage(target.flow, target.stage)
        if target.key is None:
            asked = keys_request(request)
            return _json(await self._in_thread(self._queries.keys, stage, *asked))
        found = await self._in_thread(self._queries.key, stage, target.key, key_request(request))
        return passed_on(found) if isinstance(found, Answer) else _json(found)


def _json(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    # Not orjson: state may hold integers beyond 64 bits.
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, {"cache-control": "no-store"}, "application/json")


async def _problem(request: HttpRequest, error: ProblemError) -> Response:  # noqa: ARG001 # what handlers are called with
    return error.response()
