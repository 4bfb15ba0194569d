"""Kafka Connect's REST API as far as headrace uses it, in memory, with the real one's answers."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

POSTGRES = "io.debezium.connector.postgresql.PostgresConnector"
Answer = tuple[int, Any]


@dataclass
class FakeConnect:
    """What the cluster knows, and what goes wrong with it. `requests` are those that changed something."""

    plugins: list[str] = field(default_factory=lambda: [POSTGRES])
    connectors: dict[str, dict[str, str]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    task_states: dict[str, list[str]] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    field_errors: dict[str, list[str]] = field(default_factory=dict)
    busy: int = 0  # so many requests are answered with 409
    credentials: tuple[str, str] | None = None
    requests: list[str] = field(default_factory=list)
    url: str = ""
    changed: Condition = field(default_factory=Condition)

    def answer(self, method: str, path: list[str], body: Any) -> Answer:
        if self.busy:
            self.busy -= 1
            return 409, _error(
                409, "Cannot complete request momentarily due to stale configuration"
            )
        match method, path:
            case "GET", ["connector-plugins"]:
                return 200, [{"class": name, "type": "source"} for name in self.plugins]
            case "PUT", ["connector-plugins", name, "config", "validate"]:
                return self._validated(name, body)
            case _, ["connectors", name, *rest]:
                return self._of_connector(method, name, rest, body)
        return 404, _error(404, "HTTP 404 Not Found")

    def _validated(self, name: str, body: dict[str, str]) -> Answer:
        assert body["connector.class"] == name
        values = [
            {"value": {"name": key, "value": body.get(key), "errors": errors}}
            for key, errors in {**{key: [] for key in body}, **self.field_errors}.items()
        ]
        return 200, {"name": name, "error_count": len(self.field_errors), "configs": values}

    def _of_connector(self, method: str, name: str, rest: list[str], body: Any) -> Answer:
        if (method, rest) == ("PUT", ["config"]):
            is_new = name not in self.connectors
            self.connectors[name] = dict(body)
            self.states.setdefault(name, "RUNNING")
            self.task_states.setdefault(name, ["RUNNING"])
            return (201 if is_new else 200), {"name": name, "config": body}
        if name not in self.connectors:
            return 404, _error(404, f"Connector {name} not found")
        match method, rest:
            case "GET", ["config"]:
                return 200, self.connectors[name]
            case "GET", ["status"]:
                return 200, self._status(name)
            case "GET", ["offsets"]:
                return 200, {"offsets": self.offsets.get(name, [])}
            case "PUT", ["pause" | "stop" as verb]:
                self.states[name] = {"pause": "PAUSED", "stop": "STOPPED"}[verb]
                return 202, None
            case "PUT", ["resume"]:
                self.states[name] = "RUNNING"
                return 202, None
            case "POST", ["restart"]:
                self.states[name], self.task_states[name] = "RUNNING", ["RUNNING"]
                return 202, self._status(name)
            case "DELETE", []:
                del self.connectors[name]
                return 204, None
        return 405, _error(405, "HTTP 405 Method Not Allowed")

    def _status(self, name: str) -> dict[str, Any]:
        trace = self.traces.get(name, "")
        tasks = [
            {"id": number, "state": state, **({"trace": trace} if state == "FAILED" else {})}
            for number, state in enumerate(self.task_states[name])
        ]
        connector = {"state": self.states[name], "worker_id": "127.0.0.1:8083"}
        return {"name": name, "connector": connector, "tasks": tasks, "type": "source"}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}


@contextmanager
def serving(fake: FakeConnect) -> Iterator[FakeConnect]:
    """The fake behind a port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
            with fake.changed:
                if self._is_refused():
                    status, answer = 401, _error(401, "User cannot access the resource.")
                else:
                    status, answer = fake.answer(self.command, path, body)
                if self.command != "GET":
                    fake.requests.append(f"{self.command} {self.path}")
                fake.changed.notify_all()
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 # what the server calls

        def _is_refused(self) -> bool:
            if fake.credentials is None:
                return False
            pair = base64.b64encode(":".join(fake.credentials).encode()).decode()
            return self.headers.get("authorization") != f"Basic {pair}"

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
