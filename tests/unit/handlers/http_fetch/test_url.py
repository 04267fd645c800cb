"""Which URLs a message may carry, and how a fetched page is written."""

import base64
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.http_fetch.fetch import check_params
from loadtest_trio.handlers.http_fetch.page import Page


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://example.com:8443/a?b=c#d", "HTTP://1.1.1.1/", "http://[2606:4700::1]:80/x",
            "http://bücher.example/ü?ü=ü"]
)  # fmt: skip
def test_http_and_https_are_accepted(url: str) -> None:
    check_params({"url": url})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http://"),
        ("example.com", "http://"),
        ("//example.com/", "http://"),
        ("http:///path", "host"),
        ("http://", "host"),
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "http://"),
        ("javascript:alert(1)", "http://"),
        ("http://user@example.com/", "user name or a password"),
        ("http://user:secret@example.com/", "user name or a password"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:99999/", "port 99999"),
        ("http://example.com/\r\nHost: other", "non-printable"),
        ("http://[::1/", "port|host"),
        ("http://" + "a" * 5000, "4096"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(MalformedMessageError, match=rf"^url cannot be fetched: .*({reason})"):
        check_params({"url": url})


@pytest.mark.parametrize("url", [None, 5, ["http://example.com"], b"http://example.com"])
def test_url_must_be_text(url: Any) -> None:
    with pytest.raises(MalformedMessageError, match=r"^url must be a string"):
        check_params({"url": url})


def test_secret_of_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(MalformedMessageError) as caught:
        check_params({"url": "http://user:secret@example.com/"})
    assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_is_accepted_or_refused(url: str) -> None:
    """No text makes the check fail in another way."""
    with suppress(MalformedMessageError):
        check_params({"url": url})


@given(st.binary(), st.booleans())
def test_body_can_be_had_back_exactly(body: bytes, truncated: bool) -> None:
    page = orjson.loads(Page("http://h/", 404, [("A", "1"), ("A", "2")], body, truncated).encode())
    text = page.pop("body")
    encoding = page.pop("encoding")
    assert (base64.b64decode(text) if encoding == "base64" else text.encode(encoding)) == body
    assert page == {
        "url": "http://h/", "status": 404, "headers": [["A", "1"], ["A", "2"]], "truncated": truncated
    }  # fmt: skip


def test_readable_body_stays_readable() -> None:
    page = orjson.loads(Page("http://h/", 200, [], "Grüße\n".encode()).encode())
    assert (page["encoding"], page["body"]) == ("utf-8", "Grüße\n")
