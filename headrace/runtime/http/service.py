"""The server: uvicorn inside of the worker's event loop, on a socket that was bound before the worker joined its groups."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from headrace.runtime.address import Address, parse_address
from headrace.runtime.environment import Values
from headrace.runtime.errors import RestartError, SettingsError
from headrace.runtime.http.application import Application
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.worker import Worker

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 512
REQUEST_BYTES_MAX = 65_536
"""Of a request line with its headers; a key in a path is part of it."""
FIRST_REQUEST_S = 10.0
KEEP_ALIVE_S = 15
CLOSE_S = 2
STARTED_LOOK_S = 0.005


class HttpService:
    """Answers questions about a worker over HTTP; see `contracts.service`."""

    def __init__(self, settings: WorkerSettings, values: Values) -> None:
        assert settings.http is not None
        self._wanted = parse_address(settings.http)
        self._advertise = settings.http_advertise
        self._token = settings.http_token.get_secret_value() if settings.http_token else None
        if self._token is not None:
            values.secret_values.add(self._token)
        elif not self._wanted.is_loopback:
            raise SettingsError(f"http: {self._wanted} needs a token: set HEADRACE_HTTP_TOKEN")
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._application: Application | None = None
        self._address: Address | None = None

    def open(self) -> str:
        try:
            self._socket = _bound(self._wanted)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SettingsError(
                f"http: {self._wanted} cannot be listened on: {reason}; choose another port, or 0 for any that is free"
            ) from error
        port = self._socket.getsockname()[1]
        self._address = advertised(self._wanted, port, self._advertise)
        return str(self._address)

    async def start(self, worker: Worker) -> None:
        assert self._socket is not None
        self._application = Application(worker, str(self._address), self._token)
        config = uvicorn.Config(
            self._application.asgi,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=CLOSE_S,
            h11_max_incomplete_event_size=REQUEST_BYTES_MAX,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            if self._serving.done():
                raise RestartError("http: the server ended as soon as it was started")
            await asyncio.sleep(STARTED_LOOK_S)
        logger.info("http: answering on http://%s", self._address)

    async def close(self) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait({self._serving})
            self._serving = None
        if self._socket is not None:
            self._socket.close()
        if self._application is not None:
            await asyncio.to_thread(self._application.close)


class _Server(uvicorn.Server):
    """A server inside of somebody's program."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the program's."""
        yield


class _Protocol(H11Protocol):
    """Closes connections whose first request does not come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent has it
        super().connection_made(transport)
        self.loop.call_later(FIRST_REQUEST_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def advertised(wanted: Address, port: int, advertise: str | None) -> Address:
    """What others call: what was asked for, with the port that was found."""
    if advertise is not None:
        has_port = ":" in advertise.rpartition("]")[2]
        given = parse_address(advertise if has_port else f"{advertise}:0")
        return Address(given.host, given.port or port)
    return Address(socket.gethostname() if wanted.is_any else wanted.host, port)


def _bound(address: Address) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        # Listening from now on: whoever is told the address by the group can connect, and is answered when all is ready.
        made.listen(CONNECTIONS_MAX)
    except BaseException:
        made.close()
        raise
    return made
