"""The job services that are compared, and how each is started."""

import functools
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import attrs
import redis

from benchmarks.contenders import CACHE, ROOT, build_go
from benchmarks.process import Unavailable

GO_PACKAGES = "golang golang-github-gin-gonic-gin-dev golang-github-gomodule-redigo-dev"
OURS, FASTAPI, GIN, BATCHED = "trio", "fastapi-arq", "go-gin", "go-batched"
QUEUE = "bench"
PEERS_VENV = CACHE / f"venv-jobs-{platform.python_version()}"

Command = list[str]


@attrs.frozen
class JobService:
    """One implementation of the job API.

    Attributes:
        name: What ``--only`` calls it.
        title: What the tables call it.
        commands: Returns the command lines of its processes, building first what needs building; raises
            `Unavailable` when it cannot run here.
        env: Its own variables, beside those that every service gets.
        unfinished: Reads off its Redis how many accepted jobs have not ended, or are not yet claimed where a
            service keeps no account of those in work.
    """

    name: str
    title: str
    commands: Callable[[], Sequence[Command]]
    unfinished: Callable[["redis.Redis"], int]
    env: dict[str, str] = attrs.field(factory=dict)


def ledger_difference(client: "redis.Redis") -> int:
    """Return the jobs that our service's ledger has not seen end."""
    ledger = cast(dict[bytes, bytes], client.hgetall(f"{{{QUEUE}}}:ledger"))
    counts = {name.decode(): int(value) for name, value in ledger.items() if value.isdigit()}
    ended = ("processed", "missed", "dead", "purged", "cancelled", "lost")
    return counts.get("created", 0) - sum(counts.get(name, 0) for name in ended)


def list_length(client: "redis.Redis") -> int:
    """Return the length of the Go peers' queue."""
    length = client.llen("jobs")
    assert isinstance(length, int)
    return length


def arq_length(client: "redis.Redis") -> int:
    """Return the length of arq's queue; a job leaves it when it has ended."""
    length = client.zcard("arq:queue")
    assert isinstance(length, int)
    return length


@functools.cache
def our_command(name: str) -> Command:
    """Return the beginning of a command line of ours: `python -m loadtest_trio NAME`.

    Raises:
        Unavailable: There is no such command, or it does not run here; the message is its own.
    """
    command = [sys.executable, "-m", "loadtest_trio", name]
    probe = subprocess.run(
        [*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    if probe.returncode:
        lines = (probe.stderr.strip() or probe.stdout.strip()).splitlines()
        reason = lines[-1] if lines else f"exit code {probe.returncode}"
        raise Unavailable(f"`python -m loadtest_trio {name}` does not run: {reason}")
    return command


def fastapi_commands() -> Sequence[Command]:
    """Return the commands of the API and of the arq worker, which share a core.

    Raises:
        Unavailable: Their environment was not installed.
    """
    python = peer_program("python")
    return [[python, "-m", "benchmarks.peers.fastapi_arq", role] for role in ("api", "worker")]


def peer_program(name: str) -> str:
    """Return a program of the peers' environment, which scripts/bench installs.

    Raises:
        Unavailable: It is not there.
    """
    program = PEERS_VENV / "bin" / name
    if not program.exists():
        raise Unavailable(f"{name} of the peers is not installed: run scripts/bench jobs")
    return str(program)


def go_commands(variant: str) -> Callable[[], Sequence[Command]]:
    """Return a function that builds the Go peers and returns the command of one of them."""

    def commands() -> Sequence[Command]:
        source = Path(ROOT / "benchmarks" / "peers" / "go_jobs")
        needs = ("gin-gonic/gin", "gomodule/redigo")
        return [[str(build_go(source, CACHE / "go-jobs", needs, GO_PACKAGES)), variant]]

    return commands


SERVICES = (
    JobService(
        OURS,
        "loadtest_trio jobs",
        lambda: [our_command("jobs")],
        ledger_difference,
        # No peer has a rate limit; and the load of a hundred thousand clients comes from one program.
        env={
            "ROLES": "api,worker",
            "QUEUE_NAME": QUEUE,
            "JOB_RATE_LIMIT_PER_MINUTE": "0",
            "HEALTH_PORT": "0",
        },
    ),
    JobService(BATCHED, "Go, net/http, Redis calls batched", go_commands("batched"), list_length),
    JobService(GIN, "Go, gin + redigo", go_commands("gin"), list_length),
    JobService(FASTAPI, "FastAPI + uvicorn + redis.asyncio + arq", fastapi_commands, arq_length),
)


def find_services(names: Sequence[str]) -> list[JobService]:
    """Return the services of these names, all of them for no name.

    Raises:
        KeyError: There is no such service.
    """
    by_name = {each.name: each for each in SERVICES}
    return [by_name[name] for name in names] if names else list(SERVICES)
