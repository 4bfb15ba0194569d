"""What flows answer themselves (webhooks) lies beside what the worker answers, and has checks of its own."""

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.runtime.http.problems import ProblemError
from headrace.runtime.worker.worker import Worker

OWN = ("/health", "/metrics", "/state")


class Routes:
    """Hands requests over to the triggers whose paths they name, and everything else to the worker's own answers."""

    def __init__(self, worker: Worker, own: ASGIApp) -> None:
        self._worker = worker
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            feeds = self._worker.feeds
            application = feeds.routes.get(path) if feeds is not None else None
            if application is not None:
                mounted = {**scope, "root_path": scope.get("root_path", "") + path}
                await application(mounted, receive, send)
                return
            if not feeds_are_there(self._worker) and not path.startswith(OWN):
                # A sender that is told 404 may never come again.
                starting = ProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "the worker is starting", retry_after_s=1
                )
                await starting.response()(scope, receive, send)
                return
        await self._own(scope, receive, send)


def feeds_are_there(worker: Worker) -> bool:
    """Whether it is known which paths flows answer."""
    return worker.feeds is not None and worker.feeds.is_open
