"""The real job service under real users: what gave in is named for what it is."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.users.embedded import JobService

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
PLAIN = {"PATH": "/usr/bin:/bin"}


def steps(service: JobService, folder: Path, *arguments: str) -> list[dict[str, object]]:
    """Let users climb until the service gives in, and return the lines."""
    command = [
        sys.executable, "-m", "loadtest_trio", "users", "-H", service.url, "--target-pid", str(service.pid),
        "--output", "none", "--interval", "1s", "--recovery", "0", "--stop-cpu", "1000", *arguments,
    ]  # fmt: skip
    environment = {**PLAIN, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdict(lines: list[dict[str, object]]) -> str:
    """Return the verdict in words, which a failing test shows whole."""
    (line,) = [each for each in lines if each["event"] == "users_verdict"]
    return " ".join(map(str, line["sentences"]))  # type: ignore[call-overload]


def test_one_worker_is_named_as_the_workers(tmp_path: Path) -> None:
    """One worker does 20 jobs of 50 ms a second; the CPU idles, the answers are fast."""
    with JobService.start({**PLAIN, "WORKER_CONCURRENCY": "1"}) as service:
        said = verdict(steps(service, tmp_path, "--step", "10/6s", "-u", "40", "-P", "ordered=0"))
    assert "What gave in: its workers" in said


def test_a_slow_redis_is_named(tmp_path: Path) -> None:
    """Every answer of Redis takes 100 ms longer; two workers spend their time waiting for it."""
    with RedisServer.start() as redis, slowed(redis.port, 100) as port:
        address = f"redis://:{redis.password}@127.0.0.1:{port}/0"
        with JobService.start({**PLAIN, "WORKER_CONCURRENCY": "2", "REDIS_ENDPOINT": address}) as service:
            said = verdict(steps(service, tmp_path, "--step", "20/6s", "-u", "200", "-P", "ordered=0"))
    assert "What gave in: its Redis" in said


def test_a_burnt_core_is_named_as_the_cpu(tmp_path: Path) -> None:
    """Factorials that are computed on the loop use up its core."""
    environ = {**PLAIN, "WORKER_CONCURRENCY": "8"}
    with JobService.start(environ) as service, burning(service.pid):
        flags = ["--step", "100/6s", "-u", "1200", "-P", "ordered=0", "-P", "type=factorial"]
        said = verdict(steps(service, tmp_path, *flags, "-P", 'payload={"n": 200}'))
    assert "What gave in: the target's CPU" in said


@contextmanager
def slowed(port: int, delay_ms: int) -> Iterator[int]:
    """A proxy before Redis that delays its replies; yields its port."""
    command = [
        sys.executable,
        str(ROOT / "tests/support/slow_proxy.py"),
        str(port),
        "--delay-ms",
        str(delay_ms),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.kill()


@contextmanager
def burning(pid: int) -> Iterator[None]:
    """Share the service's core with processes that compute without end."""
    import psutil

    core = psutil.Process(pid).cpu_affinity()
    if not core:
        pytest.skip("a process cannot be bound to a core here")
    for each in psutil.Process(pid).threads():
        psutil.Process(each.id).cpu_affinity(core[:1])
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for burner in burners:
            psutil.Process(burner.pid).cpu_affinity(core[:1])
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
