"""Reading answers."""

import re
from typing import Any

import pytest

from headrace.connectors.http_call.answer import (
    Answer,
    Decoding,
    failure_of,
    is_success,
    retry_after_s,
)
from headrace.connectors.http_call.links import next_link
from headrace.runtime.contracts.call import CallFailedError

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z
URL = "https://me:pass@a.example/x?token=t"


def answer(body: bytes, kind: str = "", status: int = 200, **headers: str) -> Answer:
    return Answer(status, {"content-type": kind, **headers}, body, URL)


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("text/plain; charset=iso-8859-1", b"\xfc", "ü"),
        ("text/html", "ü".encode(), "ü"),
        ("application/soap+xml", b"<a/>", "<a/>"),
        ("application/octet-stream", b"\x00\x01", "AAE="),
        ("", b"x", "eA=="),
        ("application/json", b"", None),
    ],
)
def test_a_body_is_read_by_its_content_type(kind: str, body: bytes, value: Any) -> None:
    assert answer(body, kind).decoded() == value


@pytest.mark.parametrize(("how", "value"), [("json", 1), ("text", "1"), ("base64", "MQ==")])
def test_the_config_can_say_how_a_body_is_read(how: Decoding, value: Any) -> None:
    assert answer(b"1", "application/x-own").decoded(how) == value


@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/json", b"{"), ("text/plain", b"\xff"), ("text/plain; charset=no", b"a")],
)
def test_a_body_that_is_not_what_it_says_fails_for_good(kind: str, body: bytes) -> None:
    with pytest.raises(CallFailedError, match="cannot be read as") as caught:
        answer(body, kind).decoded()

    assert not caught.value.is_temporary


@pytest.mark.parametrize(
    ("status", "is_temporary"),
    [(400, False), (401, False), (404, False), (408, True), (409, False), (425, True), (429, True),
     (500, True), (503, True), (302, False), (599, True)],
)  # fmt: skip # one table
def test_a_status_tells_whether_to_try_again(status: int, is_temporary: bool) -> None:
    error = failure_of("POST", answer(b"card 4111", status=status), NOW_MS)

    assert error.is_temporary is is_temporary
    assert error.status == status


def test_a_failure_names_the_origin_and_keeps_the_body_for_the_dead_letter() -> None:
    error = failure_of("POST", answer(b"card 4111", status=422), NOW_MS)

    assert re.fullmatch(
        r"POST https://a\.example was answered with 422 Unprocessable \w+", str(error)
    )
    assert error.__notes__ == [f"{error}; the answer begins: card 4111"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("soon", None),
        ("-1", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(value: str | None, seconds: Any) -> None:
    assert retry_after_s(value, NOW_MS) == seconds


def test_successes_are_statuses_and_classes() -> None:
    assert is_success(204, ["2xx"])
    assert is_success(404, ["2xx", 404])
    assert not is_success(302, ["2xx", 404])


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a/2>; rel="next"', "https://a/2"),
        ('</1>; rel="prev", </3>; rel="next"', "/3"),
        ('</3>; title="a, b; c"; rel="last next"', "/3"),
        ("</3>; rel=next", "/3"),
        ('</3>; REL="Next"', "/3"),
        ('</3>; rel="last"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_link_of_the_next_page_is_found(header: str, target: str | None) -> None:
    assert next_link(header) == target
