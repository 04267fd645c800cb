"""The application by itself: what it does with a request that breaks off."""

from typing import Any, cast

import trio

from loadtest_trio.handlers.registry import Registry
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
