"""The deployment on loopback: servers, proxies between them and the tasks, the balancer and the services.

customers, users ──► balancer ──► api tasks ──► proxy ──► Redis: primary, replica
                                      └───────► proxy ──► SeaweedFS
                                  worker tasks ─► proxies of their own
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import botocore.config
import botocore.session
import redis
import trio

from loadtest_trio.backends.embedded import RedisServer, S3Server
from loadtest_trio.backends.embedded.ports import LOOPBACK
from loadtest_trio.backends.embedded.watchdog import Watchdog
from tests.rehearsal.applied import Deployment, ServiceDefinition
from tests.rehearsal.balancer import Balancer
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.cluster import Service, Surroundings
from tests.support.fault_proxy import FaultProxy
from tests.support.rig import sizes

BUCKET = "rehearsal"
QUEUE = "rehearsal"
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


@attrs.frozen
class Stage:
    """Everything that a scene plays with.

    Attributes:
        clock: The time of AWS.
        balancer: The load balancer.
        s3: The S3 server.
        queues: The queues.
        token: That requests need, if the deployment has one.
        folder: For files.
        process_group: Of all processes; it ends with the rehearsal, however that ends.
    """

    clock: AwsClock
    balancer: Balancer
    s3: S3Server
    queues: list[Queue]
    token: str
    folder: Path
    process_group: int

    @property
    def queue(self) -> Queue:
        """The first, or only, queue."""
        return self.queues[0]


class _Builder:
    """Starts what belongs to a stage and lets the stack end it.

    Args:
        stack: Ends what was started, the latest first.
        deployment: What was applied.
        clock: The time of AWS.
        queues: Copies of the deployment behind one balancer.
        settings: Variables of all tasks that differ from what was applied.
    """

    def __init__(
        self,
        stack: ExitStack,
        deployment: Deployment,
        clock: AwsClock,
        queues: int,
        settings: Mapping[str, str],
    ) -> None:
        self._stack = stack
        self._deployment = deployment
        self._settings = settings
        self._token = secrets.token_hex(16) if "API_TOKEN" in deployment.api.task.secrets else ""
        self._watchdog = watchdog = stack.enter_context(Watchdog())
        self._s3 = stack.enter_context(S3Server.start(watchdog=watchdog))
        _make_bucket(self._s3)
        folder = watchdog.folder
        self._balancer = Balancer(folder / "balancer", watchdog.group, clock, deployment.idle_seconds, queues)
        self._around = Surroundings(clock, folder, watchdog.group, self._balancer)
        made = [self._queue(number) for number in range(queues)]
        self.stage = Stage(clock, self._balancer, self._s3, made, self._token, folder, watchdog.group)

    def _queue(self, number: int) -> Queue:
        name = f"{QUEUE}-{number}"
        servers = Redis(self._watchdog, secrets.token_hex(16))
        self._stack.callback(servers.close)
        to_api, to_workers = self._proxies(servers), self._proxies(servers)
        api = self._service(self._deployment.api, name, servers, to_api, number)
        definition, workers = self._deployment.workers, None
        if definition is not None:
            workers = self._service(definition, name, servers, to_workers, number)
        return Queue(name, servers, api, workers, to_api, to_workers)

    def _proxies(self, servers: Redis) -> Proxies:
        ports = (servers.primary.port, self._s3.port)
        return Proxies(*(self._stack.enter_context(FaultProxy(port)) for port in ports))

    def _service(
        self, definition: ServiceDefinition, name: str, servers: Redis, ways: Proxies, number: int
    ) -> Service:
        """Make a service whose addresses and credentials lead to the servers here."""
        url = servers.primary.url.replace(f":{servers.primary.port}/", f":{ways.redis.port}/")
        local = {
            **self._s3.environment(),
            "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{ways.s3.port}",
            "S3_BUCKET": BUCKET,
            "REDIS_ENDPOINT": url,
            "QUEUE_NAME": name,
            "API_HOST": LOOPBACK,
            "API_TOKEN": self._token,
            "HEALTH_HOST": LOOPBACK,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOG_FORMAT": "json",
            "METRICS_FORMAT": "plain",
            **self._settings,
        }
        return Service(definition, self._around, local, number)


@asynccontextmanager
async def open_stage(
    deployment: Deployment, clock: AwsClock, *, queues: int = 1, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """Start everything that a deployment has, and wait until it is steady; at the end nothing runs.

    Args:
        deployment: What was applied.
        clock: The time of AWS.
        queues: Copies of it behind one balancer.
        settings: Variables of all tasks that differ from what was applied.
    """
    with ExitStack() as stack:
        stage = _Builder(stack, deployment, clock, queues, settings or {}).stage
        async with trio.open_nursery() as nursery:
            await nursery.start(stage.balancer.run)
            for queue in stage.queues:
                await queue.redis.linked()
                for service in queue.services:
                    await nursery.start(service.run)
            for queue in stage.queues:
                await queue.settled()
            yield stage
            nursery.cancel_scope.cancel()


def _make_bucket(s3: S3Server) -> None:
    config = botocore.config.Config(s3={"addressing_style": "path"})
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=s3.endpoint_url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=config,
    )
    client.create_bucket(Bucket=BUCKET)
