"""ECS as the rehearsal plays it, without a load balancer."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import attrs
import pytest
import trio

from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.watchdog import Watchdog
from tests.rehearsal.applied import ContainerCheck
from tests.rehearsal.balancer import Balancer
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.cluster import Service, Surroundings
from tests.rehearsal.snapshot import load_snapshot
from tests.rehearsal.tasks import Given


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    """Ends the tasks."""
    with Watchdog() as watchdog:
        yield watchdog


def workers(watchdog: Watchdog, exit_code: int, marker: Path) -> Service:
    """A service of workers that wait for Redis in vain, and whose check leaves a line each time."""
    definition = load_snapshot().workers
    assert definition is not None
    program = f"open({str(marker)!r}, 'a').write('x'); raise SystemExit({exit_code})"
    check = ContainerCheck(command=("python", "-c", program), interval=0.2, timeout=20, retries=2)
    task = attrs.evolve(definition.task, check=check, stop_seconds=1)
    (nobody,) = free_ports(1)
    given = Given(
        secrets={"API_TOKEN": "x" * 32, "REDIS_ENDPOINT": "replaced"},
        surroundings={},
        overrides={"REDIS_ENDPOINT": f"redis://:x@{LOOPBACK}:{nobody}/0"},
    )
    no_balancer = cast(Balancer, None)  # workers have no target group
    around = Surroundings(AwsClock(), watchdog.folder, watchdog.group, no_balancer)
    return Service(attrs.evolve(definition, task=task), around, given)


@pytest.mark.parametrize(("exit_code", "replaced"), [(1, True), (0, False)])
async def test_task_is_replaced_when_its_container_check_fails(
    watchdog: Watchdog, tmp_path: Path, exit_code: int, replaced: bool
) -> None:
    """Two failures in a row replace it; two successes do not."""
    marker = tmp_path / "checks"
    service = workers(watchdog, exit_code, marker)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        checks = 2 if replaced else 4  # more than a failing one takes, all judged but the last
        with trio.fail_after(50):
            while not marker.exists() or len(marker.read_text()) < checks:  # noqa: ASYNC110 - no event
                await trio.sleep(0.1)
            if replaced:
                while len([each for each in service.events if each.what == "started"]) < 2:  # noqa: ASYNC110
                    await trio.sleep(0.1)
        unhealthy = [each for each in service.events if each.task.endswith("container unhealthy")]
        assert bool(unhealthy) is replaced
        nursery.cancel_scope.cancel()


async def test_task_runs_as_its_definition_says(watchdog: Watchdog, tmp_path: Path) -> None:
    """Its process has the definition's variables and limit of open files, the secrets, and the overrides."""
    service = workers(watchdog, 0, tmp_path / "checks")
    definition = service.definition.task
    assert definition.open_files is not None
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        while not service.tasks:  # noqa: ASYNC110 - no event
            await trio.sleep(0.05)
        (task,) = service.tasks
        process = Path(f"/proc/{task.pid}")
        (line,) = [row for row in (process / "limits").read_text().splitlines() if "open files" in row]
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        expected = definition.open_files[0] if most < 0 else min(definition.open_files[0], most)
        assert int(line.split()[3]) == expected
        pairs = (row.partition("=") for row in (process / "environ").read_text().split("\0"))
        found = {name: value for name, _, value in pairs}
        nursery.cancel_scope.cancel()
    differs = {name for name, value in definition.environment.items() if found[name] != value}
    assert differs == {"API_PORT", "HEALTH_PORT"}
    assert found["API_TOKEN"] == "x" * 32
    assert found["REDIS_ENDPOINT"].startswith("redis://:x@")
