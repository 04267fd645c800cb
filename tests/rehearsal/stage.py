"""The deployment on loopback: servers, proxies between them and the tasks, the balancer and the services.

customers, users ──► balancer ──► api tasks ──► proxy ──► Redis: primary, replica
                                      └───────► proxy ──► SeaweedFS
                                  worker tasks ─► proxies of their own
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import botocore.config
import botocore.session
import trio

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.backends.embedded.ports import LOOPBACK
from loadtest_trio.backends.embedded.watchdog import Watchdog
from tests.rehearsal.applied import Deployment, ServiceDefinition
from tests.rehearsal.balancer import Balancer
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.cluster import Service, Surroundings
from tests.rehearsal.job_queue import Proxies, Queue, Redis
from tests.rehearsal.tasks import Given
from tests.support.ecs_endpoints import EcsEndpoints
from tests.support.fault_proxy import FaultProxy

_KEYS_SECONDS = 3600.0
"""The task role's keys are renewed before so many seconds have passed."""


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
        overrides: Variables of all tasks that are not as applied.
    """

    def __init__(
        self,
        stack: ExitStack,
        deployment: Deployment,
        clock: AwsClock,
        queues: int,
        overrides: Mapping[str, str],
    ) -> None:
        self._stack = stack
        self._deployment = deployment
        self._overrides = overrides
        self._secrets = dict(deployment.secrets) or _made_up(deployment)
        self._watchdog = watchdog = stack.enter_context(Watchdog())
        self._s3 = stack.enter_context(S3Server.start(watchdog=watchdog))
        _make_bucket(self._s3, deployment.api.task.environment["S3_BUCKET"])
        keys = {"AccessKeyId": self._s3.access_key, "SecretAccessKey": self._s3.secret_key}
        memory = deployment.api.task.memory_mib
        ecs = EcsEndpoints(lambda: keys, lifetime=_KEYS_SECONDS, memory_mib=memory)
        self._ecs = stack.enter_context(ecs).environment
        folder = watchdog.folder
        self._balancer = Balancer(folder / "balancer", watchdog.group, clock, deployment, queues)
        self._around = Surroundings(clock, folder, watchdog.group, self._balancer)
        made = [self._queue(number, queues) for number in range(queues)]
        token = self._secrets.get("API_TOKEN", "")
        self.stage = Stage(clock, self._balancer, self._s3, made, token, folder, watchdog.group)

    def _queue(self, number: int, queues: int) -> Queue:
        variables = self._deployment.api.task.environment
        name = variables["QUEUE_NAME"] if queues == 1 else f"rehearsal-{number}"
        servers = Redis(self._watchdog, urlsplit(self._secrets["REDIS_ENDPOINT"]).password or "")
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
        """Make a service whose addresses lead to the servers here."""
        redis_url = servers.primary.url.replace(f":{servers.primary.port}/", f":{ways.redis.port}/")
        overrides = {
            "API_HOST": LOOPBACK,
            "REDIS_ENDPOINT": redis_url,
            "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{ways.s3.port}",
            **self._overrides,
        }
        if name != definition.task.environment["QUEUE_NAME"]:
            overrides["QUEUE_NAME"] = name
        given = Given(secrets=self._secrets, surroundings=self._ecs, overrides=overrides)
        return Service(definition, self._around, given, number)


def _made_up(deployment: Deployment) -> dict[str, str]:
    """Return secrets of the deployment's shape, for one that was read without them."""
    made = {name: secrets.token_hex(32) for name in deployment.api.task.secrets}
    return made | {"REDIS_ENDPOINT": f"rediss://:{secrets.token_hex(32)}@redis.invalid:6379/0"}


@asynccontextmanager
async def open_stage(
    deployment: Deployment, clock: AwsClock, *, queues: int = 1, overrides: Mapping[str, str]
) -> AsyncIterator[Stage]:
    """Start everything that a deployment has, and wait until it is steady; at the end nothing runs.

    Args:
        deployment: What was applied.
        clock: The time of AWS.
        queues: Copies of it behind one balancer.
        overrides: Variables of all tasks that are not as applied.
    """
    with ExitStack() as stack:
        stage = _Builder(stack, deployment, clock, queues, overrides).stage
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


def _make_bucket(s3: S3Server, name: str) -> None:
    config = botocore.config.Config(s3={"addressing_style": "path"})
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=s3.endpoint_url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=config,
    )
    client.create_bucket(Bucket=name)
