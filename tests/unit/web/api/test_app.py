"""The application by itself: what it does with a request that breaks off."""

from typing import Any, cast

import pytest
import trio

from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.store import Change
from loadtest_trio.web.api.app import ApiOptions, JobApi


async def test_request_whose_body_breaks_off_submits_nothing() -> None:
    """Half a body is not taken for a whole one, and nobody is answered."""
    untouchable = cast(Any, None)  # whoever uses the store or the archive fails, and would answer 500
    observed: list[Any] = []
    api = JobApi(
        untouchable,
        Registry([]),
        untouchable,
        ApiOptions(),
        lambda *told: observed.append(told),
        trio.current_time,
    )
    messages = [
        {"type": "http.request", "body": b"data=Hel", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/enqueue", "query_string": b"iterations=1"}
    await api({**scope, "headers": []}, receive, send)
    assert (sent, observed, messages) == ([], [], [])


class Store:
    """A store in which every retry ends alike."""

    def __init__(self, change: Change) -> None:
        self._change = change

    async def retry(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        return self._change


async def asked(store: object, method: str, path: str) -> tuple[int, bytes, list[str]]:
    """Return the status, the body and the observed names of one request."""
    names: list[str] = []
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    api = JobApi(
        cast(Any, store),
        Registry([]),
        cast(Any, None),
        ApiOptions(),
        lambda name, *_: names.append(name),
        trio.current_time,
    )
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await api(scope, receive, send)
    return sent[0]["status"], sent[1]["body"], names


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (Change.UNKNOWN, 404, b"no such job"),
        (Change.REFUSED, 409, b"Only a job in DEAD_LETTER"),
        (Change.PURGED, 409, b"letter has been deleted"),
    ],
)
async def test_refused_retry_says_why(change: Change, status: int, said: bytes) -> None:
    """A job whose dead letter was deleted still stands as dead, so its status is no reason."""
    answered, body, _ = await asked(Store(change), "POST", "/api/jobs/a/retry")
    assert answered == status
    assert said in body


@pytest.mark.parametrize("path", ["/.env", "/api/.aws.7z", "/api/jobs/a/b/c", "/\x1b[2A\r\nFAKE"])
async def test_paths_that_nobody_serves_share_one_series(path: str) -> None:
    """Scanners must not be able to make series for Prometheus."""
    assert (await asked(None, "GET", path))[2] == ["other"]
