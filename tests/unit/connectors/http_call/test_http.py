"""The action `http` against a server."""

import asyncio
import gzip
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
import trustme
from starlette.responses import RedirectResponse, Response

from headrace.connectors.http_call.action import Http
from headrace.runtime.contracts.call import CallFailedError
from headrace.runtime.errors import RecordError, SettingsError
from tests.unit.connectors.calling import Calling, action_of, problems_of
from tests.unit.connectors.http_call.serving import Asked, Server, breaking, serving

EVENT = {"id": 7, "name": "Ada Lovelace"}


Result = TypeVar("Result")


def run(test: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(test)


def failure(config: dict[str, Any], answer: Any = None, event: Any = None) -> CallFailedError:
    """How a call fails, with a server that answers so."""

    async def call() -> CallFailedError:
        async with serving(answer) as server:
            return await failed({"url": server.url, **config}, event)

    return run(call())


async def failed(config: dict[str, Any], event: Any = None) -> CallFailedError:
    async with Calling(Http, config) as calling:
        (outcome,) = await calling.outcomes(EVENT if event is None else event)
    assert isinstance(outcome.error, CallFailedError), outcome
    return outcome.error


def answered(config: dict[str, Any], answer: Any = None, event: Any = None) -> tuple[Any, Server]:
    """What becomes of an event, with a server that answers so."""

    async def call() -> tuple[Any, Server]:
        async with (
            serving(answer) as server,
            Calling(
                Http, {**config, "url": server.url + config.get("url", "")}, {"T": "tok"}
            ) as calling,
        ):
            return await calling.event(EVENT if event is None else event), server

    return run(call())


def test_the_event_is_posted_as_json_and_goes_on_unchanged() -> None:
    event, server = answered({})

    (asked,) = server.asked
    assert event == EVENT
    assert (asked.method, orjson.loads(asked.body)) == ("POST", EVENT)
    assert asked.headers["content-type"] == "application/json"


def test_a_request_is_made_of_templates() -> None:
    config = {
        "method": "PUT",
        "url": "/orders/${event.id}?a=1",
        "query": {"name": "${event.name}", "none": None},
        "headers": {"x-id": "${event.id}", "x-none": None},
        "body": {"whole": "${event}", "text": "n${event.id}"},
    }
    _, server = answered(config)

    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == ("PUT", "/orders/7", "a=1&name=Ada+Lovelace")
    assert asked.headers["x-id"] == "7"
    assert "x-none" not in asked.headers
    assert orjson.loads(asked.body) == {"whole": EVENT, "text": "n7"}


@pytest.mark.parametrize(
    ("content", "body", "kind", "sent"),
    [
        ("form", {"a": "b c", "d": [1, True]}, "application/x-www-form-urlencoded", b"a=b+c&d=1&d=true"),
        ("text", "hi ${event.id}", "text/plain; charset=utf-8", b"hi 7"),
        ("json", "hi", "application/json", b'"hi"'),
    ],
)  # fmt: skip # one table
def test_a_body_is_written_as_the_config_says(
    content: str, body: Any, kind: str, sent: bytes
) -> None:
    _, server = answered({"content": content, "body": body})

    assert server.asked[0].body == sent
    assert server.asked[0].headers["content-type"] == kind


def test_a_request_carries_the_id_of_its_call_unless_it_changes_nothing() -> None:
    _, posted = answered({})
    _, named = answered({"idempotency_header": "x-request"})
    _, own = answered({"headers": {"idempotency-key": "own"}})
    _, off = answered({"idempotency_header": None})
    _, read = answered({"method": "GET"})

    assert posted.asked[0].headers["idempotency-key"] == "in-0-1.call"
    assert named.asked[0].headers["x-request"] == "in-0-1.call"
    assert own.asked[0].headers["idempotency-key"] == "own"
    assert "idempotency-key" not in off.asked[0].headers
    assert "idempotency-key" not in read.asked[0].headers
    assert read.asked[0].body == b""


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"bearer": "${secret.T}"}, "authorization", "Bearer tok"),
        ({"basic": {"user": "me", "password": "${secret.T}"}}, "authorization", "Basic bWU6dG9r"),
        ({"header": {"name": "X-Api-Key", "value": "${secret.T}"}}, "x-api-key", "tok"),
    ],
)
def test_every_request_says_who_we_are(auth: Any, header: str, value: str) -> None:
    _, server = answered({"auth": auth})

    assert server.asked[0].headers[header] == value


@pytest.mark.parametrize(
    ("config", "event"),
    [
        ({"into": "answer"}, {**EVENT, "answer": {"name": "B", "n": 1}}),
        ({"merge": True}, {"id": 7, "name": "B", "n": 1}),
    ],
)
def test_the_answer_goes_into_the_event(config: dict[str, Any], event: Any) -> None:
    made, _ = answered(config, lambda _: {"name": "B", "n": 1})

    assert made == event


def test_a_full_answer_has_status_and_headers() -> None:
    config = {"into": "a", "answer": "full", "success": ["2xx", 404], "method": "GET"}
    made, _ = answered(config, lambda _: Response("no", 404, {"x-a": "1"}, "text/plain"))

    assert (made["a"]["status"], made["a"]["headers"]["x-a"], made["a"]["body"]) == (404, "1", "no")


def test_an_answer_without_a_body_is_null() -> None:
    made, _ = answered({"into": "a"}, lambda _: Response(status_code=204))

    assert made["a"] is None


def test_only_maps_can_be_merged_and_added_to() -> None:
    error = failure({"merge": True}, lambda _: [1])

    assert "so it must be a map, found a list" in str(error)
    with pytest.raises(RecordError, match="added to events that are maps, found a list"):
        answered({"into": "a"}, event=[1])


def test_an_answer_that_asks_to_wait_is_temporary() -> None:
    error = failure({}, lambda _: Response("busy", 503, {"retry-after": "9"}))

    assert (error.is_temporary, error.retry_after_s, error.status) == (True, 9.0, 503)


def test_a_refusal_is_not_temporary_and_names_neither_path_nor_query() -> None:
    error = failure({"query": {"token": "hush"}}, lambda _: Response("bad card", 422))

    assert not error.is_temporary
    assert "hush" not in str(error)
    assert error.__notes__ == [f"{error}; the answer begins: bad card"]


def test_one_failure_leaves_its_neighbours_alone() -> None:
    def answer(asked: Asked) -> Any:
        return Response(status_code=500) if asked.path == "/2" else asked.path

    async def call() -> list[Any]:
        async with (
            serving(answer) as server,
            Calling(Http, {"url": server.url + "/${event.n}", "into": "a"}) as calling,
        ):
            outcomes = await calling.outcomes({"n": 1}, {"n": 2}, {"n": 3})
            return [
                one.events[0]["a"] if one.error is None else type(one.error) for one in outcomes
            ]

    assert run(call()) == ["/1", CallFailedError, "/3"]


def test_a_refused_connection_is_temporary() -> None:
    error = run(failed({"url": "http://127.0.0.1:1/x"}))

    assert error.is_temporary
    assert str(error).startswith("POST http://127.0.0.1:1: ")


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"nonsense\r\n\r\n"]
)
def test_an_answer_that_breaks_off_is_temporary(sent: bytes) -> None:
    async def call() -> CallFailedError:
        async with breaking(sent) as url:
            return await failed({"url": url})

    assert run(call()).is_temporary


def test_silence_ends_with_the_idle_timeout() -> None:
    async def answer(_: Asked) -> Any:
        await asyncio.sleep(0.5)
        return {}

    error = failure({"idle_timeout": "50ms"}, answer)

    assert error.is_temporary
    assert "'idle_timeout'" in str(error)


def test_an_answer_has_a_bound_also_when_it_is_compressed() -> None:
    packed = gzip.compress(b"a" * 1_000_000)
    headers = {"content-encoding": "gzip", "content-type": "text/plain"}

    error = failure({"answer_limit": 100_000}, lambda _: Response(packed, 200, headers))
    made, _ = answered(
        {"into": "a", "answer_limit": 1_000_000}, lambda _: Response(packed, 200, headers)
    )

    assert "more than 100000 bytes" in str(error)
    assert not error.is_temporary
    assert len(made["a"]) == 1_000_000


def test_redirects_are_not_followed_unless_asked_for() -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/new":
            return {"method": asked.method, "body": asked.body.decode()}
        return RedirectResponse("/new", status_code=307 if asked.path == "/same" else 302)

    refused = failure({}, answer)
    changed, _ = answered({"redirects": 1, "into": "a"}, answer)
    same, _ = answered({"redirects": 1, "into": "a", "url": "/same"}, answer)

    assert "answered with 302 Found; see 'redirects'" in str(refused)
    assert changed["a"] == {"method": "GET", "body": ""}
    assert same["a"] == {"method": "POST", "body": orjson.dumps(EVENT).decode()}


def test_redirects_end_and_never_lead_to_another_host() -> None:
    round_and_round = failure({"redirects": 2}, lambda asked: RedirectResponse("/x"))
    away = failure({"redirects": 2}, lambda asked: RedirectResponse("http://evil.example/x"))

    assert "redirects more than 2 times" in str(round_and_round)
    assert "redirects to http://evil.example" in str(away)


def test_a_host_that_a_record_names_must_be_among_hosts() -> None:
    async def call() -> tuple[Any, CallFailedError]:
        async with serving() as server:
            config = {"url": "${event.to}", "hosts": ["local*"]}
            async with Calling(Http, config) as calling:
                event = {"to": server.url}
                return await calling.event(event), await failed(config, {"to": "http://127.0.0.1/"})

    made, error = run(call())

    assert made["to"].startswith("http://localhost")
    assert str(error) == "http://127.0.0.1 is not among 'hosts'"


@pytest.mark.parametrize(
    ("pages", "following"),
    [
        ({"items": "body.items", "next": "body.next"}, "next"),
        ({"items": "body.items", "cursor": "body.cursor", "parameter": "after"}, "cursor"),
        ({"items": "body.items", "link": True}, "link"),
    ],
)
def test_pages_are_collected_into_one_list(pages: dict[str, Any], following: str) -> None:
    def answer(asked: Asked) -> Any:
        number = int(dict(pair.split("=") for pair in asked.query.split("&")).get("after", 1))
        more = number < 3
        body = {
            "items": [number, number * 10],
            "next": f"/list?q=a&after={number + 1}" if more and following == "next" else None,
            "cursor": str(number + 1) if more else "",
        }
        link = {"link": f'</list?q=a&after={number + 1}>; rel="next"'} if more else {}
        return Response(orjson.dumps(body), 200, link, "application/json")

    config = {"method": "GET", "url": "/list", "query": {"q": "a"}, "into": "all", "pages": pages}
    made, server = answered(config, answer)

    assert made["all"] == [1, 10, 2, 20, 3, 30]
    assert [asked.query for asked in server.asked] == ["q=a", "q=a&after=2", "q=a&after=3"]


@pytest.mark.parametrize(
    ("pages", "body", "message"),
    [
        ({"items": "body.items", "next": "body.next"}, {"items": [], "next": "/"}, "go round"),
        ({"limit": 2, "cursor": "body.n", "items": "[1]"}, None, "more than 2 pages"),
        ({"next": "body.next", "items": "[]"}, {"next": "http://evil.example/"}, "is at http://evil.example"),
        ({"next": "body.next"}, {"next": None}, "must be the list of a page, found a map"),
        ({"next": "body.after", "items": "[]"}, {"next": None}, "has no field 'after'"),
    ],
)  # fmt: skip # one table
def test_pages_end(pages: dict[str, Any], body: Any, message: str) -> None:
    numbers = iter(range(1, 1000))
    config = {"method": "GET", "url": "/", "into": "all", "pages": pages}

    with pytest.raises(RecordError, match=message):
        answered(config, lambda _: body or {"n": next(numbers)})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files: the authority, the server's certificate and key, ours with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    files = {name: folder / f"{name}.pem" for name in ("ca", "server", "server_key", "own")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(str(files["server"]))
    server.private_key_pem.write_to_path(str(files["server_key"]))
    authority.issue_cert("us@example").private_key_and_cert_chain_pem.write_to_path(
        str(files["own"])
    )
    return files


def tls_call(
    certificates: dict[str, Path], tls: dict[str, Any] | None, *, asks: bool = False
) -> Any:
    async def call() -> Any:
        pair = (certificates["server"], certificates["server_key"])
        async with serving(certificate=pair, ca=certificates["ca"] if asks else None) as server:
            config = {"url": server.url, "into": "a", **({"tls": tls} if tls else {})}
            async with Calling(Http, config) as calling:
                (outcome,) = await calling.outcomes(EVENT)
                return outcome.error or outcome.events[0]["a"]

    return run(call())


def test_an_unknown_authority_is_refused_for_good(certificates: dict[str, Path]) -> None:
    error = tls_call(certificates, None)

    assert isinstance(error, CallFailedError)
    assert not error.is_temporary
    assert "the certificate is refused" in str(error)


def test_own_authorities_and_certificates_are_used(certificates: dict[str, Path]) -> None:
    trusted = tls_call(certificates, {"ca": str(certificates["ca"])})
    unchecked = tls_call(certificates, {"verify": False})
    both = {"ca": str(certificates["ca"]), "certificate": str(certificates["own"])}
    known = tls_call(certificates, both, asks=True)
    unknown = tls_call(certificates, {"ca": str(certificates["ca"])}, asks=True)

    assert trusted == unchecked == known == {"path": "/"}
    assert isinstance(unknown, CallFailedError)


def test_a_file_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"tls.ca: .* no such file"):
        Calling(Http, {"url": "https://a", "tls": {"ca": "/none.pem"}})


def test_a_secret_with_a_line_break_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="line break") as caught:
        Calling(Http, {"url": "https://a", "auth": {"bearer": "${secret.T}"}}, {"T": "hush\n"})

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"url": "a.example/x"}, "url: must be an absolute URL"),
        ({"url": {"a": 1}}, "url: must be text"),
        ({"url": "${event.to}"}, "hosts: the record decides which host is called"),
        ({"url": "http://a", "query": [1]}, "query: must be a map"),
        ({"url": "http://a", "headers": "x"}, "headers: must be a map"),
        ({"url": "http://a", "auth": {}}, "auth: needs exactly one .*; found none"),
        ({"url": "http://a", "tls": {"key": "k"}}, "tls: 'key' and 'password' belong"),
        ({"url": "http://a", "into": "a", "merge": True}, "into: goes with 'merge'"),
        ({"url": "http://a", "merge": True, "answer": "full"}, "answer: the full answer"),
        ({"url": "http://a", "success": ["6xx"]}, "success: holds statuses"),
        (
            {"url": "http://a", "into": "a", "method": "GET", "pages": {}},
            "pages: needs exactly one",
        ),
        ({"url": "http://a", "pages": {"link": True}}, "pages: are fetched with `method: GET`"),
    ],
)
def test_a_wrong_config_is_explained(config: dict[str, Any], problem: str) -> None:
    assert any(re.match(problem, text) for text in problems_of(Http, config))


def test_a_summary_and_a_target_hold_no_secret() -> None:
    action = action_of(Http, {"url": "https://me:pw@a.example/x/${event.id}?token=${secret.T}"})

    assert action.summary() == "POST https://a.example/x/${event.id}"
    assert action.target({"url_1": 7, "url_3": "hush"}) == "https://a.example"
