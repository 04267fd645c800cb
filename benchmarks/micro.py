"""The parts of a message, one by one: `BENCH_MODULE=micro scripts/bench [--rounds N] [--requests N]`.

CPU µs each: one GET and one PUT of 200 KB by several clients over HTTP and HTTPS, with wrk (C) as the
practical limit; signing; the payload of a CREATE; the edit of an UPDATE; metrics and logging a message.
"""

import argparse
import io
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.clients import ASYNCIO, KEY, TRIO
from benchmarks.contenders import CONTENDERS, ROOT
from benchmarks.endpoint import NginxS3
from benchmarks.measure import BUCKET, Field, machine
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Child, Unavailable
from benchmarks.redis_server import RedisServer
from benchmarks.reference import SIZE
from benchmarks.report import spread

WRK_PUT = f'wrk.method = "PUT"\nwrk.body = string.rep("a", {SIZE})\n'
SLOW = ("httpx", "httpcore", "aiobotocore", "S3Service on httpx")
TASKS = 16
MESSAGES_A_LINE = 16_000  # ten seconds at the rate that the goal asks for


@attrs.frozen
class Figure:
    """One thing measured: CPU µs, a value a round."""

    name: str
    values: list[float]

    def row(self, limit: float | None = None) -> str:
        """Return it as a row of a table; `limit` is what 1.0 × means."""
        times = f"{statistics.median(self.values) / limit:.2f} ×" if limit else ""
        return f"| {self.name} | {spread(self.values, 1)} | {times} |"


def request_figures(rounds: int, requests: int) -> dict[str, list[Figure]]:
    """Measure GET and PUT by every client over HTTP and HTTPS, in alternation.

    Raises:
        Unavailable: The endpoint cannot run here.
    """
    values: dict[str, dict[str, list[float]]] = {}
    with NginxS3() as endpoint, RedisServer() as redis:
        for number in range(rounds):
            for tls in (False, True):
                field = Field(endpoint, redis, tls=tls, messages=0)
                for method in ("get", "put"):
                    endpoint.reset(BUCKET, [(KEY, b"a" * SIZE)])
                    kind = f"{method.upper()} of {SIZE // 1000} KB over {'HTTPS' if tls else 'HTTP'}"
                    for name in (*TRIO, *ASYNCIO, "wrk"):
                        measured = one_client(name, method, requests // (5 if name in SLOW else 1), field)
                        if measured is not None:
                            values.setdefault(kind, {}).setdefault(name, []).append(measured)
                    print(f"round {number + 1}: {kind}", file=sys.stderr)
    return {
        kind: [Figure(name, series) for name, series in clients.items()] for kind, clients in values.items()
    }


def one_client(name: str, method: str, count: int, field: Field) -> float | None:
    """Return CPU µs a request of one client, or None when it is not installed or failed, which is said."""
    env = field.environment(CONTENDERS[0], 0)
    with tempfile.TemporaryDirectory(prefix="bench-micro-") as folder:
        output, log = Path(folder) / "stdout", Path(folder) / "stderr"
        script = Path(folder) / "put.lua"
        script.write_text(WRK_PUT)
        url = f"{env['S3_ENDPOINT_URL']}/{BUCKET}/{KEY}"
        seconds = max(1, count // 2000)
        wrk = ["wrk", "-t1", f"-c{TASKS}", f"-d{seconds}s", *(["-s", str(script)] * (method == "put")), url]
        own = [sys.executable, "-m", "benchmarks.clients", name, method, str(count), str(TASKS)]
        if name == "wrk" and not shutil.which("wrk"):
            return None
        with output.open("wb") as stdout:
            child = Child(
                wrk if name == "wrk" else own,
                core=CLIENT_CORE,
                env=env,
                stdout=stdout.fileno(),
                log=log,
                cwd=ROOT,
            )
        usage = child.wait(timeout=120.0)
        if child.process.returncode != 0:
            print(f"{name} {method}: exit {child.process.returncode} {child.complaint()}", file=sys.stderr)
            return None
        text = output.read_text()
    if name == "wrk":
        done = next(int(line.split()[0]) for line in text.splitlines() if "requests in" in line)
        return usage.total / done * 1e6
    return float(json.loads(text.splitlines()[-1])["cpu_us"])


def part_figures(rounds: int) -> list[Figure]:
    """Measure what costs no I/O."""
    parts = {
        "sign one request": (signing(), 2_000),
        "CREATE payload of 5,500 UUIDs": (payload(), 20),
        "UPDATE edit of 200 KB": (editing(), 500),
        "metrics a message (recording)": (recording(), 2_000),
        "metrics line every 10 s, a message": (collecting(), 5),
    }
    figures = []
    for name, (call, count) in parts.items():
        share = MESSAGES_A_LINE if "every 10 s" in name else 1
        figures.append(Figure(name, [cpu_us(call, count) / share for _ in range(rounds)]))
    both = [sum(pair) for pair in zip(figures[-1].values, figures[-2].values, strict=True)]
    return [*figures, Figure("metrics and logging a message, together", both)]


def cpu_us(call: Callable[[], object], count: int) -> float:
    """Return CPU µs a call."""
    call()
    started = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - started) / count * 1e6


def signing() -> Callable[[], object]:
    """Return the signing of one PUT, as S3Service does it."""
    from loadtest_trio.s3.credentials import Credentials
    from loadtest_trio.s3.sigv4 import UNSIGNED_PAYLOAD, Signer

    signer, keys = Signer("us-east-1"), Credentials("AKIDBENCH", "secret")
    headers = [("host", "127.0.0.1:9000"), ("content-type", "text/plain")]
    path = f"/{BUCKET}/loadtest/0123456789abcdef0123456789abcdef.txt"
    return lambda: signer.sign("PUT", path, "", headers, UNSIGNED_PAYLOAD, keys, time.time())


def payload() -> Callable[[], object]:
    """Return the making of one middling file."""
    from loadtest_trio.payload import uuid_lines

    rng = random.Random()
    return lambda: uuid_lines(5_500, rng)


def editing() -> Callable[[], object]:
    """Return the edit of one middling file."""
    from loadtest_trio.payload import edit, uuid_lines

    rng = random.Random()
    body = uuid_lines(5_500, rng)
    return lambda: edit(body, rng)


def recording() -> Callable[[], object]:
    """Return what is recorded of one message: being scheduled, being handled, 1.25 S3 requests."""
    from loadtest_trio.message import Message, Operation
    from loadtest_trio.metrics import Metrics

    metrics, rng = Metrics(), random.Random(1)
    message = Message("id", Operation.READ, "loadtest/x", created_at=1.0)

    def record() -> None:
        taken = 1.0 + rng.random()
        metrics.scheduled(message)
        metrics.observe_s3("GET", taken, SIZE, None)
        metrics.handled(message, started=taken, ended=taken + 0.01)
        if rng.random() < 0.25:
            metrics.observe_s3("PUT", taken, SIZE, None)

    return record


def collecting() -> Callable[[], object]:
    """Return the making and writing of one metrics line after ten busy seconds."""
    from loadtest_trio import logs
    from loadtest_trio.message import Message, Operation
    from loadtest_trio.metrics import Metrics

    metrics, rng = Metrics(), random.Random(1)
    logs.configure(json=True, stream=io.StringIO())
    messages = [Message("id", operation, "loadtest/x", created_at=1.0) for operation in Operation]
    shares = dict.fromkeys(Operation, 25.0)

    def line() -> None:
        for number in range(400):  # enough distinct values to fill the histograms' usual buckets
            taken = 1.0 + rng.expovariate(20)
            metrics.handled(messages[number % 4], started=taken, ended=taken + rng.expovariate(100))
            metrics.observe_s3(("GET", "PUT", "DELETE")[number % 3], rng.expovariate(100), SIZE, None)
        logs.event("metrics", **metrics.collect(shares))

    return line


def render(parts: list[Figure], requests: dict[str, list[Figure]]) -> str:
    """Return everything as Markdown."""
    lines = ["| part | CPU µs: median (min–max) | |", "| --- | --- | --- |", *(part.row() for part in parts)]
    for kind, figures in requests.items():
        wrk = next((statistics.median(each.values) for each in figures if each.name == "wrk"), None)
        ordered = sorted(figures, key=lambda each: statistics.median(each.values))
        lines += ["", f"| {kind} | CPU µs: median (min–max) | against wrk |", "| --- | --- | --- |"]
        lines += [each.row(wrk) for each in ordered]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure, print, and write results/micro.json and micro.md."""
    parser = argparse.ArgumentParser(prog="BENCH_MODULE=micro scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=5_000, help="requests of the fast clients (5000)")
    parser.add_argument("--parts-only", action="store_true", help="leave the clients out")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CLIENT_CORE})
    parts = part_figures(options.rounds)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {SERVER_CORE})
    try:
        requests = {} if options.parts_only else request_figures(options.rounds, options.requests)
    except Unavailable as reason:
        print(f"bench: clients left out: {reason}", file=sys.stderr)
        requests = {}
    text = render(parts, requests)
    facts = {"machine": machine(), "parts": list(map(attrs.asdict, parts))}
    facts["requests"] = {kind: list(map(attrs.asdict, each)) for kind, each in requests.items()}
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "micro.json").write_text(json.dumps(facts, indent=1) + "\n")
    (options.results / "micro.md").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
