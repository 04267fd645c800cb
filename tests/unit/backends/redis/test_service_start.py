"""What the queue refuses at start, before it is used."""

import pytest
import trio

from loadtest_trio.backends.redis import RedisOptions, RedisService
from loadtest_trio.errors import RedisRejectedError


@pytest.mark.parametrize(
    ("info", "advice"),
    [
        (b"redis_version:7.2.0\r\nredis_mode:sentinel\r\n", "set REDIS_ENDPOINT to the primary"),
        (b"redis_version:6.2.14\r\nredis_mode:standalone\r\n", r"7\.0 or newer is needed"),
    ],
    ids=["sentinel", "too old"],
)
async def test_server_that_cannot_hold_a_queue_is_named(
    monkeypatch: pytest.MonkeyPatch, info: bytes, advice: str
) -> None:
    """A Sentinel answers INFO too; that it knows no scripts would blame its version."""

    async def answer(kind: str, *command: object) -> bytes:
        await trio.lowlevel.checkpoint()
        return info

    service = RedisService(RedisOptions("redis://h", "q", "c"), backoff=lambda _: 0.0)
    monkeypatch.setattr(service._channel, "command_once", answer)
    with pytest.raises(RedisRejectedError, match=advice):
        await service.connect()
