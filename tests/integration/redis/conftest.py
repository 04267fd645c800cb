"""What the queue's tests share: services that are closed, a bare client that looks behind them, a proxy."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import attrs
import pytest
import redis
import trio

from loadtest_trio.backends.redis import RedisService
from tests.support.redis_service import make_redis

QUEUE = "q"


class MakeService(Protocol):
    """Makes a RedisService; see the fixture."""

    def __call__(self, consumer: str = ..., *, url: str = ..., **options: Any) -> RedisService:
        """Make one."""


@pytest.fixture
def services() -> Iterator[list[RedisService]]:
    """Closes what is put into it."""
    made: list[RedisService] = []
    yield made
    for service in made:
        service.close()


@pytest.fixture
def service_of(services: list[RedisService]) -> MakeService:
    """Makes consumers of the queue on any server: ``service_of("a", url=…, heartbeat_ttl=…)``."""

    def make(consumer: str = "a", *, url: str = "", **options: Any) -> RedisService:
        defaults: dict[str, Any] = {"queue_name": QUEUE, "backoff": lambda _: 0.02}
        services.append(make_redis(url=url, consumer=consumer, **(defaults | options)))
        return services[-1]

    return make


@pytest.fixture
def make_service(each_redis_url: str, service_of: MakeService) -> MakeService:
    """Makes consumers of the queue on the server that `each_redis_url` has emptied."""

    def make(consumer: str = "a", *, url: str = each_redis_url, **options: Any) -> RedisService:
        return service_of(consumer, url=url, **options)

    return make


@pytest.fixture
def bare(each_redis_url: str) -> Iterator["Bare"]:
    """A bare redis-py client of the same server."""
    with redis.Redis.from_url(each_redis_url) as client:
        yield Bare(client)


@attrs.define
class Bare:
    """Looks at and tampers with the queue's keys, as an operator or a stranger could."""

    client: Any

    def queue(self) -> list[bytes]:
        """The queue, next to go out first."""
        return list(reversed(self.client.lrange(f"{{{QUEUE}}}:queue", 0, -1)))

    def in_flight(self, consumer: str) -> dict[bytes, bytes]:
        """The in-flight record of a consumer."""
        return dict(self.client.hgetall(f"{{{QUEUE}}}:inflight:{consumer}"))

    def reaped(self) -> dict[bytes, int]:
        """How often each element was delivered in vain."""
        return {element: int(n) for element, n in self.client.hgetall(f"{{{QUEUE}}}:deliveries").items()}

    def keys(self) -> set[str]:
        """Names of the queue's keys, without the hash tag."""
        return {key.decode().partition(":")[2] for key in self.client.keys("*")}

    def push(self, element: bytes) -> None:
        """Enqueue like a stranger who knows nothing of us."""
        self.client.lpush(f"{{{QUEUE}}}:queue", element)

    async def silence(self, *consumers: str, alive: RedisService) -> None:
        """Make it look as if these consumers had long been silent while another was not."""
        await alive.heartbeat()
        self.client.hset(f"{{{QUEUE}}}:ledger", "serving_since", 0)
        for consumer in consumers:
            self.client.zadd(f"{{{QUEUE}}}:consumers", {consumer: 1})

    def end_delays(self) -> None:
        """Make every retry due."""
        key = f"{{{QUEUE}}}:retry"
        for member in self.client.zrange(key, 0, -1):
            self.client.zadd(key, {member: 1})


@attrs.define
class Proxy:
    """A TCP proxy that can spoil the replies to script calls; everything else passes.

    Attributes:
        lose: Replies to swallow, closing the connection: the server has done the work by then.
        truncate: Replies to cut in half, closing the connection.
        trickle: Seconds between the bytes of every reply, or 0.
        port: Where it listens.
    """

    upstream: int
    lose: int = 0
    truncate: int = 0
    trickle: float = 0.0
    port: int = 0

    async def serve(self, *, task_status: trio.TaskStatus["Proxy"] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ready when the port is known."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(self._connect, [listener])

    async def _connect(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self.upstream)
        asked = False  # whether the next reply is one to a script call

        async def requests() -> None:
            nonlocal asked
            async for data in client:
                asked |= b"EVALSHA" in data
                await server.send_all(data)

        async def replies() -> None:
            nonlocal asked
            async for data in server:
                if asked and self.lose:
                    self.lose -= 1
                    break
                if asked and self.truncate:
                    self.truncate -= 1
                    await client.send_all(data[: len(data) // 2])
                    break
                asked = False
                await self._send(client, data)

        async def until_closed(pump: Callable[[], Awaitable[None]]) -> None:
            with suppress(trio.BrokenResourceError):
                await pump()
            nursery.cancel_scope.cancel()

        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(until_closed, requests)
            nursery.start_soon(until_closed, replies)

    async def _send(self, client: trio.SocketStream, data: bytes | bytearray) -> None:
        step = 1 if self.trickle else len(data)
        for i in range(0, len(data), step):
            await trio.sleep(self.trickle)
            await client.send_all(data[i : i + step])


@pytest.fixture
async def proxy(each_redis_url: str, nursery: trio.Nursery) -> Proxy:
    """A proxy in front of the server that `each_redis_url` has emptied."""
    upstream = urlsplit(each_redis_url).port
    assert upstream is not None
    made: Proxy = await nursery.start(Proxy(upstream).serve)
    return made


@pytest.fixture
def through(each_redis_url: str, proxy: Proxy) -> str:
    """The URL that leads through the proxy."""
    return each_redis_url.replace(f":{proxy.upstream}/", f":{proxy.port}/")
