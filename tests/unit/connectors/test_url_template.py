"""URLs that records have a part in."""

from typing import Any

import pytest

from headrace.connectors.http_call.request import with_query
from headrace.connectors.url_template import UrlTemplate, is_allowed, origin_of
from headrace.runtime.errors import RecordError


def url_of(text: str, *values: Any) -> str:
    template = UrlTemplate(text)
    return template.of(dict(zip(template.arguments(), values, strict=True)))


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (7, "https://a.example/orders/7"),
        ("x y", "https://a.example/orders/x%20y"),
        ("../admin?all=1#", "https://a.example/orders/..%2Fadmin%3Fall%3D1%23"),
        ("ü", "https://a.example/orders/%C3%BC"),
        (True, "https://a.example/orders/true"),
    ],
)
def test_what_a_record_puts_into_a_path_stays_one_name(value: Any, url: str) -> None:
    assert url_of("https://a.example/orders/${event.id}", value) == url


def test_an_expression_at_the_beginning_is_taken_as_it_is() -> None:
    assert url_of("${env.API}/orders/${event.id}", "http://b:80/v1", "a/b") == (
        "http://b:80/v1/orders/a%2Fb"
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://${env.HOST}/x", "http://b:80/x"),
        ("http://${env.HOST}", "http://b:80"),
        ("http://me:pass@${env.HOST}?x=1", "http://me:pass@b:80?x=1"),
        ("http://${event.host}/x", "http://b%3A80/x"),
        ("http://a/${env.HOST}", "http://a/b%3A80"),
        ("http://a/http://${env.HOST}/", "http://a/http://b%3A80/"),
        ("http://${env.USER}@a/", "http://b%3A80@a/"),
    ],
)
def test_the_environment_may_name_a_host_with_its_port(text: str, url: str) -> None:
    template = UrlTemplate(text)

    assert template.filled(dict.fromkeys(template.arguments(), "b:80")) == url


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, b"x"])
def test_a_url_is_made_of_text_and_numbers(value: Any) -> None:
    with pytest.raises(RecordError, match="text or a number is needed"):
        url_of("https://a.example/${event.id}", value)


@pytest.mark.parametrize("value", [".", ".."])
def test_a_record_cannot_go_up_in_a_path(value: str) -> None:
    with pytest.raises(RecordError, match="no name in a path"):
        url_of("https://a.example/a/${event.id}/b", value)


@pytest.mark.parametrize(
    "text", ["ftp://a/b", "a.example/x", "https://", "http://[::1", "http://a:x/", "http://a/b c"]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="must be an absolute URL"):
        url_of(text)


@pytest.mark.parametrize(
    ("text", "is_fixed"),
    [
        ("https://a.example/${event.id}", True),
        ("https://a.example?x=${event.id}", True),
        ("https://a.example", True),
        ("${env.API}/${event.id}", True),
        ("https://${env.HOST}/${event.id}", True),
        ("${event.callback}", False),
        ("https://${event.host}/x", False),
        ("https://a.example${event.path}", False),
        ("https://a.example:${event.port}/", False),
        ("https://${env.HOST}${event.path}", False),
    ],
)
def test_it_is_known_whether_the_record_decides_the_host(text: str, is_fixed: bool) -> None:
    assert UrlTemplate(text).is_host_fixed is is_fixed


def test_an_origin_has_neither_user_nor_path() -> None:
    assert origin_of("https://me:secret@A.example:8443/x?token=1") == "https://a.example:8443"
    assert origin_of("http://[::1]:80/") == "http://[::1]:80"


def test_hosts_are_matched_whole() -> None:
    hosts = ["*.example.com", "b.example"]

    assert is_allowed("https://API.example.com/x", hosts)
    assert is_allowed("https://b.example:8443/", hosts)
    assert not is_allowed("https://example.com.evil.example/", hosts)
    assert not is_allowed("https://b.example@evil.example/", hosts)


@pytest.mark.parametrize(
    ("query", "url"),
    [
        (None, "http://a/b?x=1"),
        ({}, "http://a/b?x=1"),
        ({"y": "a b&c", "z": None}, "http://a/b?x=1&y=a+b%26c"),
        ({"x": [2, 3]}, "http://a/b?x=2&x=3"),
        ({"on": True}, "http://a/b?x=1&on=true"),
    ],
)
def test_parameters_are_added_to_those_of_the_url(query: Any, url: str) -> None:
    assert with_query("http://a/b?x=1", query) == url


@pytest.mark.parametrize("query", ["x=1", {"x": {"y": 1}}])
def test_parameters_are_a_map_of_plain_values(query: Any) -> None:
    with pytest.raises(RecordError, match="query: "):
        with_query("http://a/", query)
