"""The load balancer: nginx, told by a controller that does the health checks of the target group.

Differences from an ALB: it is one process instead of a node a zone; what it is told takes effect after
`PROPAGATION_SECONDS`, a guess (AWS gives no figure); it waits the whole deregistration delay, also for
targets without requests; HTTP/2 and TLS are left out.
"""

import json
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Any

import attrs
import httpx
import trio

from benchmarks.endpoint import find_nginx
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from tests.rehearsal.applied import Deployment, TargetGroup
from tests.rehearsal.clock import AwsClock

PROPAGATION_SECONDS = 1.0
LEAST_OUTSTANDING = "least_outstanding_requests"
_START_SECONDS = 10.0
_CONFIGURATION = Path(__file__).with_name("balancer.conf")


class Health(StrEnum):
    """The states of a target, by the words of DescribeTargetHealth."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


@attrs.define(eq=False)
class Target:
    """One registered task.

    Attributes:
        port: Where it serves.
        health: Its state.
        streak: Checks in a row that contradict the state.
        serving: nginx sends it requests.
        gone: It is being deregistered.
    """

    port: int
    health: Health = Health.INITIAL
    streak: int = 0
    serving: bool = False
    gone: trio.Event = attrs.field(factory=trio.Event)

    def judge(self, good: bool, group: TargetGroup) -> None:
        """Take in the result of one health check."""
        wanted = Health.HEALTHY if good else Health.UNHEALTHY
        if self.health is Health.DRAINING:
            return
        if self.health is wanted:
            self.streak = 0
            return
        self.streak += 1
        first = 1 if self.health is Health.INITIAL else group.healthy_threshold
        if self.streak >= (first if good else group.unhealthy_threshold):
            self.health, self.streak = wanted, 0


@attrs.frozen
class Logged:
    """A request as the balancer logged it at its end.

    Attributes:
        at: Unix time of its end.
        seconds: That it took.
        id: Its X-Request-Id.
        method: Of the request.
        path: Without the query.
        status: That the client got.
        port: Of the target; 0 when none was asked.
        group: The target group.
        client: Its X-Client-Id.
    """

    at: float
    seconds: float
    id: str
    method: str
    path: str
    status: int
    port: int
    group: str
    client: str

    @classmethod
    def parse(cls, line: str) -> "Logged":
        """Read a line of the access log."""
        row: dict[str, Any] = json.loads(line)
        port = int(row["target"].rsplit(":", 1)[1]) if ":" in row["target"] else 0
        names = ("id", "method", "path", "status", "group", "client")
        return cls(float(row["at"]), float(row["seconds"]), port=port, **{name: row[name] for name in names})


class Balancer:
    """nginx in a private folder; `run` keeps the target groups.

    Args:
        folder: For its files.
        process_group: Where it is started, so that it never outlives the rehearsal.
        clock: The time of AWS.
        deployment: Its idle timeout, which is never compressed, and its target group's algorithm.
        groups: Target groups; more than one share the clients by a hash of X-Client-Id.
    """

    def __init__(
        self, folder: Path, process_group: int, clock: AwsClock, deployment: Deployment, groups: int = 1
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._targets: dict[int, dict[int, Target]] = {group: {} for group in range(groups)}
        group = deployment.api.target_group
        least = group is not None and group.algorithm == LEAST_OUTSTANDING
        binary, modules = find_nginx()
        self.port, self._control_port = free_ports(2)
        folder.mkdir(parents=True)
        text = Template(_CONFIGURATION.read_text()).substitute(
            dir=folder, load_modules="\n".join(f"load_module {path};" for path in modules),
            idle=round(deployment.idle_seconds), least=str(least).lower(),
            port=self.port, control_port=self._control_port, groups=groups,
        )  # fmt: skip
        (folder / "nginx.conf").write_text(text)
        command = [binary, "-p", f"{folder}/", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        self._process = subprocess.Popen(command, process_group=process_group, stdin=subprocess.DEVNULL)
        self._checks: trio.Nursery | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{LOOPBACK}:{self.port}"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check targets until cancelled; then nginx has ended."""
        try:
            async with (
                httpx.AsyncClient(
                    trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
                ) as self._client,
                trio.open_nursery() as self._checks,
            ):
                with trio.fail_after(_START_SECONDS):
                    while not await self._tell(0):  # noqa: ASYNC110 - nginx sets no event
                        await trio.sleep(0.05)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self._folder / "proxy", ignore_errors=True)

    def health(self, port: int) -> Health | None:
        """Return the state of a target, None when it is not registered."""
        found = [targets[port] for targets in self._targets.values() if port in targets]
        return found[0].health if found else None

    def serving(self, port: int) -> bool:
        """Tell whether a target is healthy and is sent requests."""
        return any(targets[port].serving for targets in self._targets.values() if port in targets)

    def register(self, port: int, definition: TargetGroup, group: int = 0) -> None:
        """Begin to check a task, and to send it requests once it is healthy."""
        assert self._checks is not None
        target = self._targets[group][port] = Target(port)
        self._checks.start_soon(self._watch, target, definition, group)

    async def deregister(self, port: int, delay: float) -> None:
        """Send a task no further requests; return when those in flight had so many seconds to end.

        The change takes `PROPAGATION_SECONDS` to take effect.
        """
        for group, targets in self._targets.items():
            if target := targets.get(port):
                target.health, target.serving = Health.DRAINING, False
                target.gone.set()
                await trio.sleep(PROPAGATION_SECONDS)
                await self._tell(group)
                await self._clock.sleep(delay)
                targets.pop(port, None)

    def requests(self, since: float = 0.0) -> list[Logged]:
        """Return the requests that ended since a Unix time, in that order."""
        log = self._folder / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [each for each in map(Logged.parse, lines) if each.at >= since]

    async def _watch(self, target: Target, definition: TargetGroup, group: int) -> None:
        while not target.gone.is_set():
            before = target.health
            target.judge(await self._check(target.port, definition), definition)
            if target.health is not before and not target.gone.is_set():
                await trio.sleep(PROPAGATION_SECONDS)
                await self._tell(group)
            with trio.move_on_after(self._clock.real(definition.interval)):
                await target.gone.wait()

    async def _check(self, port: int, definition: TargetGroup) -> bool:
        url = f"http://{LOOPBACK}:{port}{definition.path}"
        try:
            answer = await self._client.get(url, timeout=definition.timeout)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    async def _tell(self, group: int) -> bool:
        """Tell nginx whom to ask; all that are registered when none is healthy, as an ALB fails open."""
        targets = [each for each in self._targets[group].values() if each.health is not Health.DRAINING]
        chosen = [each for each in targets if each.health is Health.HEALTHY]
        if not chosen:
            chosen = [each for each in targets if each.health is Health.UNHEALTHY]
        body = ",".join(str(each.port) for each in chosen)
        try:
            await self._client.put(f"http://{LOOPBACK}:{self._control_port}/{group}", content=body)
        except httpx.TransportError:
            return False
        for each in targets:
            each.serving = each in chosen and each.health is Health.HEALTHY
        return True
