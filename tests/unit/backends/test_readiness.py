"""What is said about the backends at start."""

from typing import Any, cast

import pytest

from loadtest_trio.backends.readiness import wait_until_ready
from loadtest_trio.backends.redis import ServerInfo
from tests.support.in_memory import settings
from tests.support.log_lines import LogLines


class Ready:
    """Both backends; they answer at once."""

    def __init__(self, maxmemory: int, policy: str) -> None:
        self.info = ServerInfo("redis", "7.2", "standalone", "master", True, maxmemory, policy)

    async def connect(self) -> ServerInfo:
        """Tell about the server."""
        return self.info

    async def check_bucket(self) -> None:
        """There is one."""


@pytest.mark.parametrize(
    ("maxmemory", "policy", "warned"),
    [(2**30, "allkeys-lru", True), (2**30, "noeviction", False), (0, "allkeys-lru", False)],
)
async def test_redis_that_may_delete_messages_is_said(
    maxmemory: int, policy: str, warned: bool, log_lines: LogLines
) -> None:
    """Losses would be counted later, but a person can prevent them now."""
    ready: Any = Ready(maxmemory, policy)
    await wait_until_ready(cast(Any, ready), cast(Any, ready), settings())
    assert [line["policy"] for line in log_lines.of("redis_may_evict")] == [policy] * warned
