"""A queue: Redis with a replica, the ways to it, and the services that work on it."""

from typing import Any

import attrs
import redis
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.backends.embedded.ports import LOOPBACK
from loadtest_trio.backends.embedded.watchdog import Watchdog
from tests.rehearsal.cluster import Service
from tests.support.fault_proxy import FaultProxy
from tests.support.rig import sizes

_ENDINGS = ("processed", "missed", "purged", "cancelled", "lost")
_LINK_SECONDS = 20.0


class Redis:
    """A primary with one replica in another zone, and the address that follows the primary.

    Args:
        watchdog: Ends the servers.
        password: Of both.
    """

    def __init__(self, watchdog: Watchdog, password: str) -> None:
        self._watchdog = watchdog
        self._password = password
        self.primary = self._start()
        self.replica = self._follow()

    def _start(self, **directives: str) -> RedisServer:
        both = {"masterauth": self._password, "repl-diskless-sync-delay": "0", **directives}
        return RedisServer.start(watchdog=self._watchdog, password=self._password, directives=both)

    def _follow(self) -> RedisServer:
        return self._start(replicaof=f"{LOOPBACK} {self.primary.port}")

    async def linked(self) -> None:
        """Wait until the replica follows the primary."""
        with trio.fail_after(_LINK_SECONDS), redis.Redis.from_url(self.replica.url) as client:
            while True:
                info: Any = client.info("replication")
                if info.get("master_link_status") == "up":
                    return
                await trio.sleep(0.05)

    def kill_primary(self) -> None:
        """Kill the primary and lose what it had."""
        self.primary.kill()

    def promote(self) -> None:
        """Make the replica the primary."""
        with redis.Redis.from_url(self.replica.url) as client:
            client.replicaof("NO", "ONE")
        self.primary = self.replica

    def replace(self) -> None:
        """Start another replica, as ElastiCache replaces a node that failed."""
        self.replica = self._follow()

    def close(self) -> None:
        """End both."""
        for server in (self.primary, self.replica):
            server.close()


@attrs.frozen
class Proxies:
    """The ways of one service to its backends.

    Attributes:
        redis: To the primary.
        s3: To S3.
    """

    redis: FaultProxy
    s3: FaultProxy


@attrs.define(eq=False)
class Queue:
    """A queue with the services on it; a stage has one, or several that share the clients.

    Attributes:
        name: Of the queue.
        redis: Its servers.
        api: The service behind the balancer.
        workers: The service that only works; None without one.
        to_api: The api's ways to the backends.
        to_workers: The workers' ways.
    """

    name: str
    redis: Redis
    api: Service
    workers: Service | None
    to_api: Proxies
    to_workers: Proxies

    def ledger(self) -> dict[str, int]:
        """Return the ledger of the queue, as Redis has it."""
        with redis.Redis.from_url(self.redis.primary.url) as client:
            found: Any = client.hgetall(f"{{{self.name}}}:ledger")
        return {name.decode(): int(value) for name, value in found.items() if value.isdigit()}

    def open_jobs(self) -> int:
        """Return the created jobs that the ledger has not seen end."""
        ledger = self.ledger()
        return (
            ledger.get("created", 0) - sum(ledger.get(name, 0) for name in _ENDINGS) - self.places()["dead"]
        )

    def backlog(self) -> int:
        """Return the length of the queue."""
        with redis.Redis.from_url(self.redis.primary.url) as client:
            length: Any = client.llen(f"{{{self.name}}}:queue")
        return int(length)

    def places(self) -> dict[str, int]:
        """Return how many jobs are where."""
        with redis.Redis.from_url(self.redis.primary.url) as client:
            return sizes(client, self.name)

    @property
    def services(self) -> list[Service]:
        """Both, or the one."""
        return [self.api, *([self.workers] if self.workers else [])]

    async def settled(self, seconds: float = 60.0) -> None:
        """Wait until its services are steady."""
        for service in self.services:
            await service.settled(seconds)

    async def drained(self, seconds: float = 60.0) -> float:
        """Wait until every job has ended by the ledger; return the seconds that it took.

        Raises:
            AssertionError: Some did not.
        """
        began = trio.current_time()
        while self.open_jobs():
            assert trio.current_time() - began < seconds, f"left: {self.ledger()} {self.places()}"
            await trio.sleep(0.1)
        return trio.current_time() - began
