"""What is read of a request's query and form."""

import pytest

from loadtest_trio.web.api.enqueue import _data
from loadtest_trio.web.api.exchange import Request
from loadtest_trio.web.api.problems import Problem


def query(raw: bytes) -> dict[str, str]:
    """Return the parameters of a query."""
    return Request("GET", "/api/jobs", raw, {}).query()


@pytest.mark.parametrize(
    "raw", [b"clientId=%XY", b"clientId=%", b"clientId=a%2", b"clientId=%FF", b"a=%\xb2"]
)
def test_broken_escape_of_a_query_is_400(raw: bytes) -> None:
    """Taken literally, it would be the list of a client that nobody meant."""
    with pytest.raises(Problem) as caught:
        query(raw)
    assert caught.value.status == 400


def test_query_of_thousands_of_parameters_is_400() -> None:
    """Nobody needs them, and reading them takes long."""
    with pytest.raises(Problem):
        query(b"&".join(b"a%d=b" % number for number in range(5000)))


def test_form_that_is_no_text_is_refused() -> None:
    """With a replacement character the digest of other data would be computed."""
    for body in (b"data=%FF", b"data=\xff", b"data=%ED%A0%80"):
        with pytest.raises(Problem) as caught:
            _data(body)
        assert caught.value.status == 400
    assert _data(b"data=H%C3%A9llo+you") == "Héllo you"
    assert _data("data=Héllo".encode()) == "Héllo"
    assert _data(b"data=100%") == "100%"  # as browsers read forms (WHATWG URL, 5.1)
