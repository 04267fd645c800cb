"""Measures one contender: prepares queue and bucket, watches it work, checks the outcome.

    LLEN (or the daemon's own lines) ──► progress ┐
                                                  ├─► two marks, at 15 % and 97 % of the messages
    clock_gettime(CPU clock of the pid) ─► CPU ───┘   the result is the difference between them

Start-up (imports, a JIT, connecting) and the idle tail lie outside the marks; `cpu_us_whole`, from wait4,
includes them. A run that loses, fails or corrupts a message is an error, not a result.
"""

import itertools
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contenders import ROOT, Contender
from benchmarks.process import CLIENT_CORE, Child
from benchmarks.redis_server import RedisServer
from benchmarks.testbed import BUCKET, PATIENCE, QUEUE, Testbed
from benchmarks.workload import Workload, workload
from loadtest_trio.report.details import join_details

LIST = f"{{{QUEUE}}}:queue"
FIRST_MARK, LAST_MARK = 0.15, 0.97
UUID_LINES = re.compile(rb"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\n)+")


@attrs.frozen
class Mark:
    """Clock readings at the moment when so many messages had been taken."""

    seconds: float
    cpu: float
    messages: int
    rss_mb: float


@attrs.frozen
class Result:
    """The result of one contender in one round.

    Attributes:
        messages: Messages between the two marks.
        rate: Messages per second between the marks.
        cpu_us: CPU microseconds per message between the marks.
        cpu_us_whole: The same for the whole process and all its messages, start and stop included.
        kernel: The kernel's share of that CPU time; mostly copying.
        busy: CPU time over wall time between the marks; 1.0 is a full core.
        rss_mb: Peak resident memory up to the second mark.
    """

    contender: str
    messages: int
    rate: float
    cpu_us: float
    cpu_us_whole: float
    kernel: float
    busy: float
    rss_mb: float


class Failed(Exception):  # noqa: N818 - reads better where it is raised
    """A contender did not do its work; the message includes its output."""


def measure(contender: Contender, testbed: Testbed, *, check_bucket: bool = True) -> Result:
    """Measure one contender once.

    Args:
        contender: The program.
        testbed: The servers and the prepared work.
        check_bucket: Whether to check the objects that are in the bucket afterwards.

    Raises:
        Unavailable: It cannot run here.
        Failed: It crashed, stalled, or did its work wrong.
    """
    command = contender.command()
    total = max(int(testbed.messages * contender.share), 100)
    work = workload(total, testbed.keys, now=time.time())
    testbed.endpoint.reset(BUCKET, testbed.objects)
    testbed.redis.fill(LIST, [] if contender.scheduled else work.elements)
    with tempfile.TemporaryDirectory(prefix="bench-run-") as folder:
        output = Path(folder) / "stdout"
        child = Child(
            command,
            core=CLIENT_CORE,
            env=testbed.environment(contender, total),
            output=output,
            log=Path(folder) / "stderr",
            cwd=ROOT,
        )
        try:
            progress = (
                _scheduled(output) if contender.scheduled else lambda: total - testbed.redis.waiting(LIST)
            )
            first, last = _watch(child, progress, total, output)
            if contender.service and not contender.scheduled:
                _drain(testbed.redis)
        except BaseException:
            child.stop(timeout=2.0)
            raise
        usage = child.stop() if contender.service else child.wait(timeout=30.0)
        done = _check(contender, child, output, total)
    if check_bucket and not contender.scheduled:
        _check_bucket(contender, testbed, work)
    moved, seconds, used = last.messages - first.messages, last.seconds - first.seconds, last.cpu - first.cpu
    return Result(
        contender=contender.name,
        messages=moved,
        rate=moved / seconds,
        cpu_us=used / moved * 1e6,
        cpu_us_whole=usage.total / done * 1e6,
        kernel=usage.system / usage.total,
        busy=used / seconds,
        rss_mb=last.rss_mb,
    )


def _watch(child: Child, progress: Callable[[], int], total: int, output: Path) -> tuple[Mark, Mark]:
    """Return the marks at both ends of the window; progress is polled every 20 ms."""
    first: Mark | None = None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        messages = progress()
        if not child.running:
            break
        mark = Mark(time.perf_counter(), child.cpu_seconds(), messages, child.peak_rss_mb())
        if first is None and messages >= total * FIRST_MARK:
            first = mark
        if first is not None and messages >= total * LAST_MARK:
            return first, mark
        time.sleep(0.02)
    said = f"{child.stderr_tail()} {output.read_text()[-1500:]}"
    raise Failed(f"ended or stalled after {progress()} of {total} messages: {said}")


def _scheduled(output: Path) -> Callable[[], int]:
    """Return a function that reads the progress from the daemon's latest metrics line."""

    def progress() -> int:
        return int(next((line["messages_processed"] for line in log_lines(output, "metrics")), 0))

    return progress


def log_lines(output: Path, event: str) -> list[dict[str, Any]]:
    """Return the complete log lines of one event, newest first."""
    lines = output.read_bytes().split(b"\n")[:-1]
    parsed = join_details(json.loads(line) for line in reversed(lines) if line.startswith(b"{"))
    return [line for line in parsed if line.get("event") == event]


def _drain(redis: RedisServer) -> None:
    """Wait until the list is empty, and half a second for the messages in flight."""
    for _ in itertools.takewhile(lambda _: redis.waiting(LIST) > 0, range(500)):
        time.sleep(0.02)
    time.sleep(0.5)


def _check(contender: Contender, child: Child, output: Path, total: int) -> int:
    """Check that no message was lost or failed; return the number processed."""
    events = log_lines(output, "service_stopped") if contender.service else []
    own = [json.loads(line) for line in output.read_text().splitlines() if line.startswith('{"')]
    report = events[0] if events else (own[-1] if own else {})
    failed = report.get("messages_failed", report.get("failed", 0)) + report.get("dead", 0)
    done = report.get("messages_processed", report.get("messages", 0))
    complete = contender.scheduled or done == total
    if child.process.returncode != 0 or failed or not complete:
        said = f"{child.stderr_tail()} {output.read_text()[-1500:]}"
        raise Failed(f"exit {child.process.returncode}, {done} of {total} done, {failed} failed: {said}")
    return int(done)


def _check_bucket(contender: Contender, testbed: Testbed, work: Workload) -> None:
    """Check that exactly the expected keys exist and that their bodies are lines of UUIDs."""
    found = set()
    for number, (key, body) in enumerate(testbed.endpoint.contents(BUCKET)):
        found.add(key)
        if len(body) % 37 or (number % 20 == 0 and not UUID_LINES.fullmatch(body)):
            raise Failed(f"{contender.name} left {key} corrupted ({len(body)} bytes)")
    if found != work.remaining:
        missing, extra = sorted(work.remaining - found), sorted(found - work.remaining)
        raise Failed(
            f"{contender.name} lost {len(missing)} keys {missing[:3]}, left {len(extra)} {extra[:3]}"
        )
