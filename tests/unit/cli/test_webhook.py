"""`headrace webhook test` against a server that keeps what it was sent."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call

FLOW = """
name: shop
stages:
  - name: hook
    action: webhook
    config: {path: /hooks/shop, verify: {scheme: github, secrets: "${secret.HOOK}"}}
    out: sink
  - {name: sink, action: publish, config: {topic: out}}
"""
TWO = (
    FLOW
    + """
  - {name: other, action: webhook, config: {verify: {scheme: bearer, secrets: "${secret.HOOK}"}}, out: sink}
"""
)


class Kept(HTTPServer):
    """Answers every request with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 202


class _Handler(BaseHTTPRequestHandler):
    server: Kept

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): text for name, text in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        self.send_response(self.server.status)
        self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(b'{"status": "accepted"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # as its parent calls it
        return


@pytest.fixture
def server() -> Iterator[Kept]:
    with Kept() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def flow(call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Asks for `call`, whose folder this is."""
    monkeypatch.setenv("HEADRACE_SECRET_HOOK", "one")
    path = Path("shop.yaml")
    path.write_text(FLOW)
    return path


def url(server: Kept) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_the_request_is_signed_with_the_secret_of_the_flow(
    call: Call, flow: Path, server: Kept
) -> None:
    result = call(
        *("webhook", "test", str(flow), "--url", url(server)),
        *("--data", '{"a": 1}', "--header", "x-github-event=push"),
    )

    ((path, headers, body),) = server.requests
    signature = hmac.new(b"one", body, hashlib.sha256).hexdigest()
    assert (result.exit_code, body, path) == (0, b'{"a": 1}', "/hooks/shop")
    assert headers["x-hub-signature-256"] == f"sha256={signature}"
    assert headers["x-github-event"] == "push"
    assert result.stdout.startswith("202 Accepted")


def test_an_answer_that_is_no_success_fails_the_command(
    call: Call, flow: Path, server: Kept
) -> None:
    server.status = 503

    result = call("webhook", "test", str(flow), "--url", url(server))
    as_json = call("webhook", "test", str(flow), "--url", url(server), "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert "retry-after: 7" in result.stdout
    assert json.loads(as_json.stdout)["status"] == 503


def test_nobody_there_is_said_and_a_secret_is_never_shown(call: Call, flow: Path) -> None:
    flow.write_text(TWO)

    nobody = call("webhook", "test", str(flow), "--stage", "hook", "--url", "http://127.0.0.1:1")
    shown = call("webhook", "test", str(flow), "--stage", "other", "--show", "--url", "http://h")

    assert nobody.exit_code == 1
    assert "127.0.0.1:1 does not answer" in nobody.stderr
    assert "POST http://h/hooks/shop/other" in shown.stdout
    assert "authorization: ..." in shown.stdout
    assert "one" not in shown.stdout.split()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--stage", "hok"], "did you mean 'hook'"),
        ([], "several webhooks: hook, other"),
        (["--stage", "hook"], "give --url"),
        (["--stage", "hook", "--url", "ftp://x"], "--url must be like"),
        (["--stage", "hook", "--header", "x"], "NAME=VALUE"),
    ],
)
def test_what_is_missing_is_said(call: Call, flow: Path, words: list[str], told: str) -> None:
    flow.write_text(TWO)

    result = call("webhook", "test", str(flow), *words)

    assert result.exit_code == 2
    assert told in result.stderr
