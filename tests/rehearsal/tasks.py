"""One task: a process of this package, run as its task definition says."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from loadtest_trio.backends.embedded.ports import free_ports
from tests.rehearsal.applied import ContainerCheck, TaskDefinition
from tests.rehearsal.overrides import checked

ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.02
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@attrs.frozen(kw_only=True)
class Given:
    """Variables that a task gets beside those of its definition.

    Attributes:
        secrets: Values of the secrets, by the variable's name.
        surroundings: What ECS sets: where the task's credentials and metadata are.
        overrides: What cannot be as in the definition (overrides.py).
    """

    secrets: Mapping[str, str]
    surroundings: Mapping[str, str]
    overrides: Mapping[str, str]


class RunningTask:
    """A started task.

    Args:
        definition: What is run.
        given: What ECS gives it, and what cannot be as in the definition.
        folder: For its log.
        process_group: Where it is started.

    Attributes:
        port: Of its job API.
        environment: Its variables.
        began: Monotonic seconds of its start.
        ended_at: Monotonic seconds when its end was first seen, while nobody had asked for it.
        stopping: It was asked to end, or its end was noticed.
    """

    def __init__(self, definition: TaskDefinition, given: Given, folder: Path, process_group: int) -> None:
        self.definition = definition
        self.port, health_port = free_ports(2)
        self.began = time.monotonic()
        self.ended_at: float | None = None
        self.stopping = False
        self.log = folder / f"{definition.family}-{definition.revision}-{self.port}.log"
        ports = checked({"API_PORT": str(self.port), "HEALTH_PORT": str(health_port)})
        self.environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": str(ROOT),
            **definition.environment,
            **{name: given.secrets[name] for name in definition.secrets},
            **given.surroundings,
            **checked(given.overrides),
            **ports,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadtest_trio", *definition.command],
                env=self.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                process_group=process_group,
            )  # fmt: skip
        self._limit_open_files()

    def _limit_open_files(self) -> None:
        """Set the limit of the definition, before Python has started; no more than this user may."""
        if self.definition.open_files:
            soft, hard = self.definition.open_files
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            if most != resource.RLIM_INFINITY:
                soft, hard = min(soft, most), min(hard, most)
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.definition.family}:{self.definition.revision} on {self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs; negative for a signal."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL, as when its host dies."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    async def stop(self) -> float:
        """SIGTERM, and SIGKILL after the stop timeout; return the seconds that it took."""
        began = trio.current_time()
        self.stopping = True
        self.terminate()
        with trio.move_on_after(self.definition.stop_seconds):
            await self.ended()
        if self.running:
            self.kill()
        return trio.current_time() - began

    async def ended(self) -> int:
        """Wait for the end of the process; return its exit code."""
        while self.running:  # noqa: ASYNC110 - a process sets no event
            await trio.sleep(_POLL_SECONDS)
        return self._process.returncode

    async def passes(self, check: ContainerCheck) -> bool:
        """Run the container's check; tell whether it was content in time."""
        python, *command = check.command
        assert python == "python", check.command
        with trio.move_on_after(check.timeout):
            run = await trio.run_process(
                [sys.executable, *command], env=self.environment, cwd=ROOT, stdin=b"", check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return run.returncode == 0
        return False

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that it has used, without its children; 0 when it has ended.

        From the process's own CPU clock (clock_getcpuclockid(3)): that of /proc counts in hundredths.
        """
        try:
            return time.clock_gettime(~self.pid << 3 | 2)
        except OSError:
            return 0.0

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-1500:]
