"""What is said in URLs: flow, stage and key in the path, the rest behind the question mark."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.requests import Request as HttpRequest

from headrace.runtime.flow.suggestion import did_you_mean
from headrace.runtime.http.keys import Encoding, read_key
from headrace.runtime.http.pages import Span
from headrace.runtime.http.peers import FORWARDED
from headrace.runtime.http.problems import ProblemError
from headrace.runtime.http.queries import Request
from headrace.runtime.http.stored import ALL_TIME, Wanted

LIMIT, LIMIT_MAX = 100, 10_000
WINDOWS = 1_000
"""Windows or entries of one key."""
ENCODINGS: Mapping[str, Encoding] = {"text": "text", "base64": "base64"}
OF_KEY = ("encoding", "from", "to", "limit", "start")
OF_KEYS = ("encoding", "from", "to", "limit", "start", "end", "next", "partial")


class Target(NamedTuple):
    """What the path names; `key` is None where it ends with the stage."""

    flow: str
    stage: str
    key: bytes | None


def target_of(request: HttpRequest) -> Target:
    """Read the path as it was sent, where a slash in a name is %2F. Slashes in a key may also stand as they are."""
    parts = request.scope["raw_path"].partition(b"/state/")[2].split(b"/", 2)
    names = [unquote_to_bytes(part) for part in parts[:2]]
    if len(names) < 2 or not all(names):
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "ask for /state, /state/<flow>/<stage> or /state/<flow>/<stage>/<key>",
        )
    flow, stage = (name.decode("utf-8", "replace") for name in names)
    key = unquote_to_bytes(parts[2]) if len(parts) == 3 else None
    if key is not None:
        key = read_key(key, _encoding(request))
    return Target(flow, stage, key)


def key_request(request: HttpRequest) -> Request:
    """What is wanted of one key."""
    _check_names(request, OF_KEY)
    query = request.query_params
    wanted = Wanted(
        times=_times(request),
        first=query.get("start", ""),
        limit=_limit(request, WINDOWS),
    )
    return Request(
        _target(request), _encoding(request), request.headers.get(FORWARDED), wanted=wanted
    )


def keys_request(request: HttpRequest) -> tuple[Span, Request]:
    """Which keys are wanted, and what of each."""
    _check_names(request, OF_KEYS)
    encoding = _encoding(request)
    query = request.query_params
    start = read_key(query.get("start", "").encode("utf-8", "surrogateescape"), encoding)
    if "next" in query:
        start = read_key(query["next"].encode("utf-8", "surrogateescape"), "base64")
    end = query.get("end")
    last = None if end is None else read_key(end.encode("utf-8", "surrogateescape"), encoding)
    if last is not None and last < start:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "end: comes before start")
    span = Span(start, last, _limit(request, LIMIT))
    found = Request(
        _target(request),
        encoding,
        request.headers.get(FORWARDED),
        is_partial=_is_true(request, "partial"),
        wanted=Wanted(times=_times(request), limit=WINDOWS),
    )
    return span, found


def _target(request: HttpRequest) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path.decode("ascii") + (f"?{query.decode('ascii')}" if query else "")


def _check_names(request: HttpRequest, names: tuple[str, ...]) -> None:
    for name in request.query_params:
        if name not in names:
            hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"there is no parameter '{name}'{hint}")


def _encoding(request: HttpRequest) -> Encoding:
    given = request.query_params.get("encoding", "text")
    if given not in ENCODINGS:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "encoding: must be text or base64")
    return ENCODINGS[given]


def _limit(request: HttpRequest, usual: int) -> int:
    text = request.query_params.get("limit")
    if text is None:
        return usual
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    raise ProblemError(HTTPStatus.BAD_REQUEST, f"limit: must be a number from 1 to {LIMIT_MAX:,}")


def _is_true(request: HttpRequest, name: str) -> bool:
    given = request.query_params.get(name, "false")
    if given not in ("true", "false"):
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name}: must be true or false")
    return given == "true"


def _times(request: HttpRequest) -> tuple[int, int]:
    query = request.query_params
    first = read_time("from", query["from"]) if "from" in query else ALL_TIME[0]
    end = read_time("to", query["to"]) if "to" in query else ALL_TIME[1]
    if end < first:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "to: comes before from")
    return first, end


def read_time(name: str, text: str) -> int:
    """A time in ms since 1970 UTC, written so or as ISO 8601."""
    if text.isascii() and text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        # In a query a plus that is not written as %2B arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{name}: must be ms since 1970 UTC, or a time such as 2026-01-31T12:00:00Z",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
