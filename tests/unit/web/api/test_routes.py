"""Requests find their route, or the right refusal."""

import pytest

from loadtest_trio.web.api.exchange import Answer, Request
from loadtest_trio.web.api.problems import Problem
from loadtest_trio.web.api.routes import Route, Router


async def _answer(*_: object) -> Answer:
    return Answer(200)


ROUTER = Router(
    [
        Route(method, template, _answer)
        for method, template in [
            ("GET", "/jobs"),
            ("POST", "/jobs"),
            ("GET", "/jobs/stats"),
            ("GET", "/jobs/{id}"),
            ("GET", "/jobs/{id}/result"),
        ]
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "name", "parameters"),
    [
        ("GET", "/jobs", "GET /jobs", ()),
        ("POST", "/jobs", "POST /jobs", ()),
        ("GET", "/jobs/stats", "GET /jobs/stats", ()),
        ("GET", "/jobs/7", "GET /jobs/{id}", ("7",)),
        ("HEAD", "/jobs/7", "GET /jobs/{id}", ("7",)),
        ("GET", "/jobs/7/result", "GET /jobs/{id}/result", ("7",)),
    ],
)
def test_route_is_found(method: str, path: str, name: str, parameters: tuple[str, ...]) -> None:
    """Whole paths come before templates, and HEAD is answered where GET is."""
    route, found = ROUTER.find(method, path)
    assert (route.name, found) == (name, parameters)


@pytest.mark.parametrize(
    "path", ["/", "/job", "/jobs/", "/jobs/7/", "/jobs/7/8", "/jobs//result", "/jobs/7/result/x"]
)
def test_unknown_path_is_404(path: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Problem) as caught:
        ROUTER.find("GET", path)
    assert caught.value.status == 404


def test_wrong_method_is_405_and_names_the_right_ones() -> None:
    """RFC 9110, section 15.5.6: Allow lists what the path knows."""
    with pytest.raises(Problem) as caught:
        ROUTER.find("DELETE", "/jobs")
    assert (caught.value.status, caught.value.headers) == (405, [(b"allow", b"GET, HEAD, POST")])


@pytest.mark.parametrize(
    "query",
    [b"n=0", b"n=101", b"n=x", b"n=", b"n=1.5", b"n=-1", b"n=%C2%B2", b"n=\xff", b"n=%s5999" % (b"0" * 19)],
)
def test_number_outside_its_bounds_is_400(query: bytes) -> None:
    """A number that cannot be used is refused with its bounds."""
    with pytest.raises(Problem) as caught:
        Request("GET", "/", query, {}).number("n", 5, 1, 100)
    assert caught.value.status == 400


def test_absent_number_has_its_default() -> None:
    """Nothing said is no fault."""
    assert Request("GET", "/", b"m=7", {}).number("n", 5, 1, 100) == 5


def test_byte_order_mark_before_the_body_is_skipped() -> None:
    """RFC 8259, 8.1: senders must not write it, and some do."""
    assert Request("POST", "/", b"", {}, b'\xef\xbb\xbf{"a":1}').json() == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b'{"a":', b"[" * 5000])
def test_body_that_is_no_object_is_400(body: bytes) -> None:
    """Whatever the bytes."""
    with pytest.raises(Problem) as caught:
        Request("POST", "/", b"", {}, body).json()
    assert caught.value.status == 400
