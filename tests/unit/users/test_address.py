"""The address on the command line: what is sent there, and what is shown of it."""

from itertools import count

import pytest

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.launch import Address, _headers
from loadtest_trio.users.origin import Origin


def test_credentials_are_sent_and_not_shown() -> None:
    """The log, the report and the scenario know the address without them."""
    address = Address.given("http://someone:hunter2@127.0.0.1:8000/")
    assert address.url == "http://127.0.0.1:8000/"
    assert address.headers == {"Authorization": "Basic c29tZW9uZTpodW50ZXIy"}
    given = Address.given("http://a:b@h", {"authorization": "Bearer x"})
    assert given.headers == {"authorization": "Bearer x"}


@pytest.mark.parametrize(
    "url",
    ["ftp://someone:hunter2@h", "http://someone:hunter2@h:x", "http://s:hunter2@h/api"]
    + [f"http://s:1{sign}hunter2@h:80" for sign in "/?#"],
)
def test_an_error_shows_no_password(url: str) -> None:
    """It is one line that people paste."""
    with pytest.raises(ConfigurationError) as caught:
        Address.given(url)
    assert "hunter2" not in "".join(map(str, caught.value.faults))


@pytest.mark.parametrize("url", ["http://h/api/v1", "h/api", "http://h?x=1", "http://h#x"])
def test_a_path_is_refused(url: str) -> None:
    """Requests go to the paths of the scenario: one of the address would be left out in silence."""
    with pytest.raises(ConfigurationError, match="without a path"):
        Address.given(url)


def test_a_given_header_replaces_ours() -> None:
    """Two Host headers are answered 400 by every server."""
    origin = Origin("h", 8000, count().__next__)  # type: ignore[arg-type]
    lines = _headers(origin, {"host": "shop.example", "USER-AGENT": "me"}).split(b"\r\n")
    assert sorted(lines) == [b"", b"Accept: */*", b"USER-AGENT: me", b"host: shop.example"]
    assert b"Host: h:8000" in _headers(origin, {}).split(b"\r\n")
