"""``dead``: a command that a person waits for ends when Redis stays away."""

from argparse import Namespace
from typing import Any

import pytest

from loadtest_trio.cli import dead
from loadtest_trio.errors import RedisUnavailableError
from tests.integration.redis.conftest import QUEUE


def test_command_ends_when_redis_stays_full(
    each_redis_url: str, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full Redis refuses to take messages back: the command says so instead of repeating it for ever."""
    monkeypatch.setattr(dead, "_PATIENCE_SECONDS", 0.5)
    options = Namespace(config=None, action="requeue", id=None, all=True)
    environ = {"REDIS_ENDPOINT": each_redis_url, "QUEUE_NAME": QUEUE}
    bare.client.lpush(f"{{{QUEUE}}}:dead", b"letter")
    assert dead.execute(Namespace(config=None, action="list", limit=5), environ) == 0
    bare.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisUnavailableError, match=r"OOM.*given up after 0\.5 s"):
            dead.execute(options, environ)
    finally:
        bare.client.config_set("maxmemory", 0)
    assert dead.execute(options, environ) == 0
    assert bare.queue() == [b"letter"]
