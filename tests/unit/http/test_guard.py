"""Who may ask a worker, how much, and for how long."""

import asyncio
import hmac
import logging
import socket
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from headrace import SettingsError
from headrace.runtime.address import parse_address
from headrace.runtime.http import service
from headrace.runtime.http.guard import BODY_BYTES_MAX, REQUESTS_MAX, Guard
from headrace.runtime.settings import load_settings
from tests.unit.http.asking import Answered, broker_with, once, worker_of
from tests.unit.http.asking import asked as ask
from tests.unit.http.flows import TOTALS

TOKEN = "open-sesame-and-more"
RIGHT = f"Bearer {TOKEN}"


def test_with_a_token_only_who_shows_it_is_answered(tmp_path: Path) -> None:
    refused: list[dict[str, str]] = [
        {},
        {"authorization": "Bearer open-sesame-and-mor"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
    ]
    welcome = [{"authorization": RIGHT}, {"authorization": RIGHT, "host": "worker.example"}]
    paths = ("/state", "/metrics", "/state/big-orders/totals", "/nowhere")

    async def main() -> tuple[list[Answered], list[int]]:
        async with worker_of(broker_with(1), tmp_path, TOTALS, http_token=TOKEN) as worker:
            await once(worker, "/health", lambda answered: answered.status == 200)
            out = [await ask(worker, path, **given) for path in paths for given in refused]
            let_in = [await ask(worker, path, **given) for path in paths[:3] for given in welcome]
            return out, [one.status for one in let_in]

    out, let_in = asyncio.run(main())

    assert {(one.status, one.headers["www-authenticate"]) for one in out} == {
        (401, 'Bearer realm="headrace"')
    }
    assert let_in == [200] * 6


def test_probes_need_no_token_and_learn_nothing_but_yes_or_no(tmp_path: Path) -> None:
    async def main() -> Answered:
        async with worker_of(broker_with(1), tmp_path, TOTALS, http_token=TOKEN) as worker:
            return await once(worker, "/health", lambda answered: answered.status == 200)

    assert asyncio.run(main()).document == {"live": True, "ready": True}


def test_without_a_token_a_web_page_with_a_name_of_its_own_for_this_machine_is_refused(
    tmp_path: Path,
) -> None:
    async def main() -> list[int]:
        async with worker_of(broker_with(1), tmp_path, TOTALS) as worker:
            hosts = ("evil.example", "evil.example:8080", "", "localhost:1", "[::1]:1", "127.0.0.1")
            return [(await ask(worker, "/state", host=host)).status for host in hosts]

    assert asyncio.run(main()) == [421, 421, 421, 200, 200, 200]


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "worker-3:8080", "192.0.2.1:80"])
def test_an_address_that_others_reach_needs_a_token(address: str) -> None:
    with pytest.raises(SettingsError, match="needs a token: set HEADRACE_HTTP_TOKEN"):
        load_settings({"http": address})

    assert load_settings({"http": address, "http_token": TOKEN}).http == address


@pytest.mark.parametrize(
    "wrong", ["8080", "localhost", "localhost:x", "::1:80", "a/b:1", "h:99999"]
)
def test_addresses_that_are_none_are_told(wrong: str) -> None:
    with pytest.raises(SettingsError, match="host:port"):
        load_settings({"http": wrong})


def test_a_token_is_never_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_HTTP_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)

    async def main() -> Answered:
        worker = worker_of(broker_with(1), tmp_path, TOTALS)
        async with worker:
            assert TOKEN not in repr(worker.settings)
            assert TOKEN not in str(worker.settings.model_dump_json())
            return await ask(worker, "/state")

    answered = asyncio.run(main())

    assert answered.status == HTTPStatus.UNAUTHORIZED
    assert TOKEN not in caplog.text
    assert TOKEN not in answered.body.decode()


def test_a_token_that_is_too_short_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"http_token": "hunter2-hunter2"})

    assert "hunter2" not in str(refused.value)
    assert "16" in str(refused.value)


def test_a_token_may_come_from_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SECRET_HTTP", TOKEN)

    settings = load_settings({"http_token": "${secret.HTTP}"})

    assert settings.http_token is not None
    assert settings.http_token.get_secret_value() == TOKEN


def test_a_port_that_is_taken_is_told_before_anything_is_joined(tmp_path: Path) -> None:
    async def main(address: str) -> None:
        async with worker_of(broker_with(1), tmp_path, TOTALS, http=address):
            pytest.fail("it started")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(SettingsError, match=rf"http: {address} cannot be listened on"):
            asyncio.run(main(address))


@pytest.mark.parametrize(
    ("wanted", "advertise", "told"),
    [
        ("127.0.0.1:0", None, "127.0.0.1:5"),
        ("0.0.0.0:0", None, f"{socket.gethostname()}:5"),
        ("0.0.0.0:0", "worker-3", "worker-3:5"),
        ("0.0.0.0:0", "[2001:db8::1]", "[2001:db8::1]:5"),
        ("0.0.0.0:0", "worker-3:80", "worker-3:80"),
    ],
)
def test_what_others_call_has_the_port_that_was_found(
    wanted: str, advertise: str | None, told: str
) -> None:
    assert str(service.advertised(parse_address(wanted), 5, advertise)) == told


def test_a_connection_whose_request_does_not_come_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FIRST_REQUEST_S", 0.05)

    def wait(address: str | None) -> bytes:
        host, _, port = str(address).rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"GET /state HTTP/1.1\r\n")
            return connection.recv(1_000)

    async def main() -> bytes:
        async with worker_of(broker_with(1), tmp_path, TOTALS) as worker:
            return await asyncio.to_thread(wait, worker.http_address)

    assert asyncio.run(main()) == b""


class Call:
    """One request to a guard, without a server."""

    def __init__(self, app: Any, *, body: list[bytes] | None = None, **headers: str) -> None:
        self.guard = app
        self.sent: list[Message] = []
        self._body = list(body or [b""])
        told = {"host": "localhost", **headers}
        self._scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in told.items()
            ],
        }

    async def receive(self) -> Message:
        part = self._body.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._body)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self) -> int:
        await self.guard(self._scope, self.receive, self.send)
        return int(self.sent[0]["status"])


async def reading_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_a_body_is_bounded_by_what_is_told_and_by_what_comes() -> None:
    app = Guard(reading_all, token=None)
    half = b"x" * (BODY_BYTES_MAX // 2)

    async def main() -> list[int]:
        return [
            await Call(app, body=[half, half]).run(),
            await Call(app, body=[half, half, b"x"]).run(),
            await Call(app, content_length=str(BODY_BYTES_MAX + 1)).run(),
            await Call(app, content_length="-1").run(),
        ]

    assert asyncio.run(main()) == [200, 413, 413, 413]


def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    async def main() -> tuple[set[int], int, int]:
        released = asyncio.Event()

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            await released.wait()
            await reading_all(scope, receive, send)

        app = Guard(waiting, token=None)
        running = [asyncio.create_task(Call(app).run()) for _ in range(REQUESTS_MAX)]
        await asyncio.sleep(0)
        refused = await Call(app).run()
        released.set()
        answered = set(await asyncio.gather(*running))
        return answered, refused, await Call(app).run()

    assert asyncio.run(main()) == ({200}, 503, 200)


def test_a_request_that_takes_too_long_is_ended() -> None:
    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    assert asyncio.run(Call(Guard(hanging, token=None, request_s=0.01)).run()) == 504


def test_a_mistake_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("secret")

    call = Call(Guard(failing, token=None))

    assert asyncio.run(call.run()) == 500
    assert "ZeroDivisionError" in caplog.text
    assert b"secret" not in call.sent[1]["body"]


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    app = Guard(reading_all, token=TOKEN)

    async def main() -> list[int]:
        return [await Call(app, authorization=f"Bearer {given}").run() for given in ("a", TOKEN)]

    assert asyncio.run(main()) == [401, 200]
    assert compared == [(32, 32), (32, 32)]
