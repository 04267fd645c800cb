"""The programs that are compared: how each is started, and what happens when its toolchain is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import attrs

from benchmarks.process import Unavailable

ROOT = Path(__file__).parent.parent
CACHE = ROOT / "benchmarks" / ".cache"
GO_PACKAGES = "golang golang-github-minio-minio-go-v7-dev golang-github-gomodule-redigo-dev"
GO_PATH = Path("/usr/share/gocode")  # where Debian's -dev packages install their sources


@attrs.frozen
class Contender:
    """One program that processes the messages.

    Attributes:
        name: What ``--only`` calls it.
        title: What the table calls it.
        command: Returns the command line, after building the program if needed; raises `Unavailable`.
        share: Its share of the messages; slow contenders get fewer, so that all take about the same time.
        concurrency: Number of tasks, threads or goroutines; the best of the values that were tried.
        env: Additional environment variables.
        scheduled: It schedules its own messages instead of working off a prepared queue.
        service: It is our daemon: stopped with SIGTERM, reports through its log lines.
        optional: Measured only when ``--only`` names it.
    """

    name: str
    title: str
    command: Callable[[], list[str]]
    share: float = 1.0
    concurrency: int = 64
    env: dict[str, str] = attrs.field(factory=dict)
    scheduled: bool = False
    service: bool = False
    optional: bool = False


def python_peer(module: str, *needs: str) -> Callable[[], list[str]]:
    """Return a function that checks a Python peer's packages and returns its command."""

    def command() -> list[str]:
        for package in needs:
            if find_spec(package) is None:
                raise Unavailable(f"{package} is not installed: run scripts/bench")
        return [sys.executable, "-m", f"benchmarks.peers.{module}"]

    return command


def go_peer(variant: str) -> Callable[[], list[str]]:
    """Return a function that builds the Go peers and returns the command of one of them."""

    def command() -> list[str]:
        source = ROOT / "benchmarks" / "peers" / "go"
        return [str(build_go(source, CACHE / "go-peer", ["minio/minio-go/v7"], GO_PACKAGES)), variant]

    return command


def build_go(source: Path, binary: Path, needs: Iterable[str], packages: str) -> Path:
    """Build a Go program without network, from the sources that Debian's packages install in `GO_PATH`.

    Args:
        source: The folder of its main package.
        binary: The program's path; it is rebuilt when a source file is newer.
        needs: Repositories on github.com that it imports.
        packages: The Debian packages that provide the compiler and these repositories.

    Returns:
        The binary.

    Raises:
        Unavailable: The compiler or a repository is missing, or the program does not compile.
    """
    go = shutil.which("go")
    if not go or not all((GO_PATH / "src/github.com" / need).is_dir() for need in needs):
        raise Unavailable(f"no Go toolchain with its packages: apt-get install {packages}")
    sources = [file.stat().st_mtime for file in source.glob("*.go")]
    if binary.exists() and max(sources) <= binary.stat().st_mtime:
        return binary
    CACHE.mkdir(exist_ok=True)
    environment = {"GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOCACHE": str(CACHE / "go-cache")}
    built = subprocess.run(
        [go, "build", "-o", binary, "."],
        cwd=source,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise Unavailable(f"go build failed: {built.stderr.strip()}")
    return binary


def daemon() -> list[str]:
    """Return the command of our daemon."""
    return [sys.executable, "-m", "loadtest_trio", "run"]


WORKER = {"ROLES": "worker"}
SATURATE = {
    "ROLES": "scheduler,worker",
    "SCHEDULER_MODE": "saturate",
    # Too few objects for a long queue would distort the mix, and with it the cost of a message.
    "SCHEDULER_TARGET_QUEUE_LENGTH": "500",
    "PRECONDITION_MIN_OBJECTS": "1000",
    "PRECONDITION_MAX_OBJECTS": "1000000",
}

CONTENDERS = (
    Contender(
        "service", "loadtest_trio: the whole service", daemon, env=SATURATE, scheduled=True, service=True
    ),
    Contender("worker", "loadtest_trio: ROLES=worker", daemon, env=WORKER, service=True),
    Contender("go-tuned", "Go, net/http, own SigV4, tuned", go_peer("tuned")),
    Contender("go-expert", "Go, net/http, own SigV4", go_peer("expert")),
    Contender(
        "go-signed",
        "Go, net/http, own SigV4, payload hashed",
        go_peer("expert"),
        env={"SIGN_PAYLOAD": "yes"},
    ),
    Contender("go-minio", "Go, minio-go + redigo", go_peer("minio"), share=0.5),
    Contender(
        "obstore", "asyncio + obstore + redis.asyncio", python_peer("asyncio_obstore", "obstore"), share=0.25
    ),
    Contender(
        "asyncio",
        "asyncio + aiobotocore + redis.asyncio",
        python_peer("asyncio_aiobotocore", "aiobotocore"),
        share=0.2,
    ),
    Contender(
        "asyncio-payload",
        "asyncio + aiobotocore, our payload code",
        python_peer("asyncio_aiobotocore", "aiobotocore"),
        share=0.2,
        env={"VECTORISED": "yes"},
    ),
    Contender(
        "threads",
        "threads + boto3 + redis-py",
        python_peer("threads_boto3", "boto3"),
        share=0.2,
        concurrency=16,
    ),
    Contender(
        "worker-httpx",
        "loadtest_trio: ROLES=worker, S3_TRANSPORT=httpx",
        daemon,
        share=0.25,
        env=WORKER | {"S3_TRANSPORT": "httpx"},
        service=True,
        optional=True,
    ),
)
