"""Compares S3 clients: one GET and one PUT of 200 KB, over HTTP and HTTPS, in alternation."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import rounds, wrk
from benchmarks.calibration import SIZE
from benchmarks.clients import ASYNCIO, KEY, TRIO
from benchmarks.contenders import CONTENDERS, ROOT
from benchmarks.endpoint import NginxS3
from benchmarks.output import complain, report_progress
from benchmarks.process import CLIENT_CORE, Child
from benchmarks.redis_server import RedisServer
from benchmarks.testbed import BUCKET, Testbed

OURS, LIMIT, PEER = "S3Service", "wrk", "obstore"
TASKS = 16
_SLOW = ("httpx", "httpcore", "aiobotocore", "S3Service on httpx")

Round = dict[str, float]
"""CPU µs per request, by client."""


def kinds() -> dict[str, tuple[str, bool]]:
    """Return the kinds of request by title: method, and whether over HTTPS."""
    return {
        f"{method} of {SIZE // 1000} KB over {'HTTPS' if tls else 'HTTP'}": (method, tls)
        for tls in (False, True)
        for method in ("GET", "PUT")
    }


def compare_clients(count: int, requests: int) -> dict[str, list[Round]]:
    """Measure every client with every kind of request, round after round.

    Args:
        count: Number of rounds.
        requests: Requests per measurement; slow clients make a fifth of them.

    Raises:
        Unavailable: The endpoint cannot run here.
    """
    results: dict[str, list[Round]] = {title: [] for title in kinds()}
    with NginxS3() as endpoint, RedisServer() as redis:
        for number in range(count):
            for title, (method, tls) in kinds().items():
                testbed = Testbed(endpoint, redis, tls=tls, messages=0)
                endpoint.reset(BUCKET, [(KEY, b"a" * SIZE)])
                results[title].append(one_round(method, requests, testbed))
                report_progress(f"round {number + 1}: {title}")
    return results


def one_round(method: str, requests: int, testbed: Testbed) -> Round:
    """Measure every client once. One that fails or is not installed is reported and left out."""
    measured: Round = {}
    for name in (*TRIO, *ASYNCIO, *([LIMIT] if wrk.installed() else [])):
        try:
            measured[name] = one_client(name, method, requests // (5 if name in _SLOW else 1), testbed)
        except RuntimeError as error:
            complain(f"{name} {method}: left out: {error}")
    return measured


def one_client(name: str, method: str, count: int, testbed: Testbed) -> float:
    """Return CPU µs per request of one client, in a process of its own.

    Raises:
        RuntimeError: The client is not installed, or failed.
    """
    if name == LIMIT:
        url = f"{testbed.endpoint.tls_url if testbed.tls else testbed.endpoint.url}/{BUCKET}/{KEY}"
        return wrk.cpu_us(url, method, requests=2 * count, tasks=TASKS)
    command = [sys.executable, "-m", "benchmarks.clients", name, method.lower(), str(count), str(TASKS)]
    with tempfile.TemporaryDirectory(prefix="bench-micro-") as folder:
        output = Path(folder) / "stdout"
        child = Child(
            command,
            core=CLIENT_CORE,
            env=testbed.environment(CONTENDERS[0], 0),
            output=output,
            log=Path(folder) / "stderr",
            cwd=ROOT,
        )
        child.wait(timeout=120.0)
        if child.process.returncode != 0:
            raise RuntimeError(f"exit {child.process.returncode} {child.stderr_tail()}")
        return float(json.loads(output.read_text().splitlines()[-1])["cpu_us"])


def ratios(measured: list[Round], client: str, other: str) -> list[float]:
    """Return the CPU of one client over that of another *in the same round*."""
    return rounds.ratios(measured, client, other, float)


def costs(measured: list[Round], client: str) -> list[float]:
    """Return a client's CPU µs per request, one value per round."""
    return rounds.values(measured, client, float)
