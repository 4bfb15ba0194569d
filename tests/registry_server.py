"""A schema registry for tests: the part of its HTTP API that clients of headrace use, on a free port of this machine.

It keeps Confluent's statuses and error codes. Compatibility is one rule: a new version of an Avro record adds no field without a
default. A `.proto` text has the descriptor that a test gives for it, as there is no compiler here.
"""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class RegistryServer:
    """Schemas by id and subject. `failing` is a status to answer with in place of everything; `asked` lists the requests."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.url = ""
        self.failing = 0
        self.asked: list[str] = []
        self.descriptors: dict[str, bytes] = {}
        self._login = f"{user}:{password}" if user else ""
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}

    def put(
        self, subject: str, schema: Any, kind: str = "AVRO", references: Any = (), **given: Any
    ) -> int:
        """Register a schema without further questions; returns its id."""
        text = schema if isinstance(schema, str) else orjson.dumps(schema).decode()
        if "descriptor" in given:
            self.descriptors[text] = given["descriptor"]
        kept = {"schema": text, "schemaType": kind, "references": list(references)}
        if kept not in self._schemas:
            self._schemas.append(kept)
        id_ = self._schemas.index(kept) + 1
        if id_ not in self._subjects.setdefault(subject, []):
            self._subjects[subject].append(id_)
        return id_

    # ---- the API

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/schemas/ids/{id:int}", self._by_id),
                Route("/subjects/{subject}/versions", self._register, methods=["POST"]),
                Route("/subjects/{subject}/versions/{version}", self._version),
                Route("/subjects/{subject}", self._lookup, methods=["POST"]),
            ]
        )

    def _refused(self, request: Request) -> Response | None:
        self.asked.append(f"{request.method} {request.url.path}")
        if self.failing:
            return _error(self.failing, self.failing * 100 + 1, "out of order")
        given = request.headers.get("authorization", "")
        if self._login and given != f"Basic {base64.b64encode(self._login.encode()).decode()}":
            return _error(401, 40101, "Unauthorized")
        return None

    def _shown(self, id_: int, request: Request) -> dict[str, Any]:
        kept = dict(self._schemas[id_ - 1])
        if request.query_params.get("format") == "serialized":
            descriptor = self.descriptors.get(kept["schema"], b"")
            kept["schema"] = base64.b64encode(descriptor).decode()
        if kept["schemaType"] == "AVRO":
            del kept["schemaType"]  # as the real one leaves it out
        return kept

    async def _by_id(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        if refused := self._refused(request):
            return refused
        if not 0 < id_ <= len(self._schemas):
            return _error(404, 40403, f"Schema {id_} not found")
        return JSONResponse(self._shown(id_, request))

    async def _version(self, request: Request) -> Response:
        subject, version = request.path_params["subject"], request.path_params["version"]
        if refused := self._refused(request):
            return refused
        if subject not in self._subjects:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        ids = self._subjects[subject]
        number = len(ids) if version == "latest" else int(version)
        if number > len(ids):
            return _error(404, 40402, f"Version {number} not found.")
        id_ = ids[number - 1]
        found = {"subject": subject, "id": id_, "version": number, **self._shown(id_, request)}
        return JSONResponse(found)

    async def _lookup(self, request: Request) -> Response:
        subject = request.path_params["subject"]
        if refused := self._refused(request):
            return refused
        given = await request.json()
        ids = self._subjects.get(subject)
        if ids is None:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        for number, id_ in enumerate(ids, 1):
            if _same(self._schemas[id_ - 1]["schema"], given["schema"]):
                found = {"subject": subject, "id": id_, "version": number}
                return JSONResponse({**found, **self._shown(id_, request)})
        return _error(404, 40403, "Schema not found")

    async def _register(self, request: Request) -> Response:
        subject = request.path_params["subject"]
        if refused := self._refused(request):
            return refused
        given = await request.json()
        kind = given.get("schemaType", "AVRO")
        if kind == "PROTOBUF" and given["schema"] not in self.descriptors:
            return _error(422, 42201, "Invalid PROTOBUF schema")
        latest = self._subjects.get(subject, [])[-1:]
        if latest and kind == "AVRO":
            before = orjson.loads(self._schemas[latest[0] - 1]["schema"])
            if name := _added_without_default(before, orjson.loads(given["schema"])):
                why = f"READER_FIELD_MISSING_DEFAULT_VALUE: {name}"
                return _error(409, 409, f"Schema being registered is incompatible: {why}")
        return JSONResponse({"id": self.put(subject, given["schema"], kind)})


def _same(one: str, other: str) -> bool:
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except orjson.JSONDecodeError:
        return one == other


def _added_without_default(before: Any, after: Any) -> str:
    names = {field["name"] for field in before["fields"]}
    added = [field for field in after["fields"] if field["name"] not in names]
    return next((field["name"] for field in added if "default" not in field), "")


def _error(status: int, code: int, message: str) -> Response:
    return JSONResponse({"error_code": code, "message": message}, status_code=status)


@contextmanager
def registry_running(registry: RegistryServer | None = None) -> Iterator[RegistryServer]:
    """A registry that answers until the block ends; its `url` tells where."""
    registry = registry or RegistryServer()
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            ready.set()

    config = uvicorn.Config(
        registry.application(), host="127.0.0.1", port=0, log_level="critical", lifespan="off"
    )
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        registry.url = f"http://127.0.0.1:{port}"
        yield registry
    finally:
        server.should_exit = True
        thread.join()
