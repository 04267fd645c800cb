"""Podman as root, with the flags that work where cgroups are hybrid and no registry is reachable."""

import json
import os
import resource
import secrets
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtest_trio.report.details import join_details

LogLine = dict[str, Any]
AUTHORITY_INSIDE = "/etc/loadtest-authority.pem"
"""Where containers find the certificate authority of the test's Redis."""


def podman(*arguments: str, seconds: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman and return the finished process.

    Raises:
        AssertionError: It failed, and `check` is set.
    """
    result = subprocess.run(
        ["podman", "--log-level", "error", *arguments],
        capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert not check or result.returncode == 0, f"podman {arguments[0]}: {result.stderr}{result.stdout}"
    return result


def _limits() -> list[str]:
    # podman asks for more than this machine may give; crun does not know hybrid cgroups.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = min(4096, resource.getrlimit(resource.RLIMIT_NPROC)[1] & 0xFFFF)
    return ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]


def build(context: Path, tag: str, **arguments: str) -> None:
    """Build the Containerfile of a folder on bases that are here already.

    A certificate bundle that this machine's Python is told to use is lent to the build.
    """
    bundle = os.environ.get("SSL_CERT_FILE")
    lent = ["--volume", f"{bundle}:/etc/ssl/certs/ca-certificates.crt:ro"] if bundle else []
    chosen = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    podman(
        "--runtime", "runc", "build", "--format", "docker", "--pull=never", "--network", "host",
        *_limits(), *lent, *chosen, "--tag", tag, str(context), seconds=600,
    )  # fmt: skip


class Container:
    """One container that runs as a Fargate task would, on this machine's network; a context manager.

    Args:
        image: What to run.
        environment: Its variables.
        memory_mib: Its memory.
        cpus: Its CPUs.
        stop_seconds: From SIGTERM to SIGKILL.
        command: Instead of the image's command.
        mounts: Files of this machine to show it, read-only: outside -> inside.

    Attributes:
        name: What podman calls it.
        environment: Its variables.
    """

    def __init__(
        self,
        image: str,
        environment: Mapping[str, str],
        *,
        memory_mib: int,
        cpus: float = 1,
        stop_seconds: int = 45,
        user: str = "10001:10001",
        command: Iterable[str] = (),
        mounts: Mapping[Path, str] | None = None,
    ) -> None:
        self.name = f"loadtest-{secrets.token_hex(6)}"
        self.environment = environment
        variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        shown = [
            part for out, inside in (mounts or {}).items() for part in ("--volume", f"{out}:{inside}:ro")
        ]
        self._arguments = [
            "--runtime", "runc", "run", "--detach", "--name", self.name, "--network", "host", *_limits(),
            "--cpus", str(cpus), "--memory", f"{memory_mib}m", "--memory-swap", f"{memory_mib}m",
            "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", "--user", user, "--stop-timeout", str(stop_seconds),
            *variables, *shown, image, *command,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        podman(*self._arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        podman("rm", "--force", "--time", "0", self.name, check=False)

    @property
    def output(self) -> str:
        """What it has written so far."""
        return podman("logs", self.name).stdout

    @property
    def lines(self) -> list[LogLine]:
        """The log lines so far; details are back in the lines that they belong to."""
        return join_details(json.loads(line) for line in self.output.splitlines() if line.startswith("{"))

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return podman("--runtime", "runc", "exec", self.name, *command, check=False)

    def wait_for(self, event: str, least: Mapping[str, float] | None = None, seconds: float = 60) -> LogLine:
        """Wait for a log line of an event whose named fields have reached the given values.

        Raises:
            AssertionError: The container ended or the time is over.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.lines:
                reached = all(line.get(name, 0) >= value for name, value in (least or {}).items())
                if line["event"] == event and reached:
                    return line
            assert self.state["Running"], f"it ended: {podman('logs', self.name, check=False)}"
            time.sleep(0.5)
        raise AssertionError(f"no such {event} in {seconds} s: {self.output[-3000:]}")

    @property
    def state(self) -> dict[str, Any]:
        """Its state, as podman inspects it."""
        found: list[dict[str, Any]] = json.loads(podman("inspect", self.name).stdout)
        return dict(found[0]["State"])

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM, as ECS does, and return the exit code and how many seconds it took."""
        begun = time.monotonic()
        podman("stop", self.name, seconds=150)
        return int(self.state["ExitCode"]), time.monotonic() - begun


def assert_confined(container: Container) -> None:
    """The process is not root, has no capability, gains none, and finds the root file system read-only."""
    status = container.execute("cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "1"
    for folder in ("/", "/app", "/tmp", "/opt/venv"):
        refused = container.execute("python", "-c", f"open('{folder}/probe', 'w')")
        assert "Read-only file system" in refused.stderr, folder
