"""One trial: a daemon on a prepared queue; CPU per message between two marks, memory, time to first message.

    HGET {bench}:ledger processed ─► progress ─► marks at 15 % (or two per worker) and 97 % of the messages
                                           └───► the first message: the end of start-up

The ledger counts settlements, so progress means the same with and without a scheduler. Everything before the
first mark (imports, LIST of the bucket, connecting) is excluded from the figures per message.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contenders import ROOT, Contender
from benchmarks.measure import FIRST_MARK, LAST_MARK, LIST, Failed, Mark, log_lines
from benchmarks.process import CLIENT_CORE, Child
from benchmarks.redis_server import RedisServer
from benchmarks.scale.latency import service_times
from benchmarks.testbed import BUCKET, PATIENCE, QUEUE, Testbed
from benchmarks.workload import workload

_LEDGER = f"{{{QUEUE}}}:ledger"
_BATCH = 1000
_LOOK_SECONDS = 0.02
_START_LOOK_SECONDS = 0.002


@attrs.frozen
class Sample:
    """The result of one trial.

    Attributes:
        cpu_us: CPU microseconds per message between the marks.
        rate: Messages per second between the marks.
        busy: CPU time over wall time between the marks.
        rss_mb: Peak resident memory up to the second mark.
        in_flight: Maximum of messages in flight in the metrics lines: whether the workers were busy.
        cpu_before: CPU seconds up to the first settled message: imports and the LIST of the bucket.
        p50_ms: Median service time of a message, without queueing, as the daemon reports it.
        p99_ms: 99th percentile of the same.
    """

    cpu_us: float
    rate: float
    busy: float
    rss_mb: float
    in_flight: int
    cpu_before: float
    p50_ms: float
    p99_ms: float


Rounds = list[dict[int, Sample]]
"""One sweep: a round each, the samples by size."""


def run_trial(contender: Contender, testbed: Testbed, *, behind: int = 0) -> Sample:
    """Let a daemon process the testbed's messages and measure it.

    Args:
        contender: The daemon and its settings.
        testbed: The servers and the number of messages.
        behind: Number of messages that wait behind those that are measured.

    Raises:
        Failed: It crashed, stalled, or lost or failed a message.
    """
    total = testbed.messages
    testbed.endpoint.reset(BUCKET, testbed.objects)
    elements = [] if contender.scheduled else workload(total, testbed.keys, now=time.time()).elements
    testbed.redis.fill(LIST, elements)
    _put_behind(testbed, behind)
    with _running(contender, testbed) as (child, output):
        first, last, cpu_before = _watch(child, testbed, contender.concurrency, output)
        while not contender.scheduled and not behind and child.running and settled(testbed.redis) < total:
            time.sleep(_LOOK_SECONDS)
        child.stop()
        _check(child, testbed.redis, output, enqueued=None if contender.scheduled else total + behind)
        lines = log_lines(output, "metrics")
    return _sample(first, last, cpu_before, lines)


def _sample(first: Mark, last: Mark, cpu_before: float, lines: list[dict[str, Any]]) -> Sample:
    moved, seconds, used = last.messages - first.messages, last.seconds - first.seconds, last.cpu - first.cpu
    return Sample(
        cpu_us=used / moved * 1e6,
        rate=moved / seconds,
        busy=used / seconds,
        rss_mb=last.rss_mb,
        in_flight=max((line["in_flight"] for line in lines), default=0),
        cpu_before=cpu_before,
        **service_times(lines, after=first.messages),
    )


def start_once(contender: Contender, testbed: Testbed, *, objects: bool) -> float:
    """Return the seconds from a daemon's exec to its first settled message.

    Args:
        contender: The daemon and its settings. Without the scheduler role it finds messages waiting.
        testbed: The servers; the first hundred of its messages are waiting.
        objects: Whether the bucket already has objects.

    Raises:
        Failed: It ended, or settled no message.
    """
    testbed.endpoint.reset(BUCKET, testbed.objects if objects else ())
    elements = [] if contender.scheduled else workload(100, testbed.keys, now=time.time()).elements
    testbed.redis.fill(LIST, elements)
    began = time.perf_counter()
    with _running(contender, testbed) as (child, output):
        while not settled(testbed.redis):
            if not child.running or time.perf_counter() - began > PATIENCE:
                raise Failed(_said(child, output))
            time.sleep(_START_LOOK_SECONDS)
        took = time.perf_counter() - began
        child.stop()
    return took


def settled(redis: RedisServer) -> int:
    """Return how many messages the ledger counts as processed."""
    count = redis.client.hget(_LEDGER, "processed")
    assert count is None or isinstance(count, bytes)  # the asynchronous client's type is in the union too
    return int(count or 0)


def _put_behind(testbed: Testbed, count: int) -> None:
    """Add this number of READs at the end of the queue."""
    form = b'{"id":"behind-%d","operation":"READ","key":"%b"}'
    keys = [key.encode() for key in testbed.keys]
    for begin in range(0, count, _BATCH):
        numbers = range(begin, min(begin + _BATCH, count))
        testbed.redis.client.lpush(LIST, *(form % (n, keys[n % len(keys)]) for n in numbers))


@contextlib.contextmanager
def _running(contender: Contender, testbed: Testbed) -> Iterator[tuple[Child, Path]]:
    """Run the daemon until the block ends; yields the process and the file of its log lines."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        output = Path(folder) / "stdout"
        child = Child(
            contender.command(),
            core=CLIENT_CORE,
            env=testbed.environment(contender, testbed.messages),
            output=output,
            log=Path(folder) / "stderr",
            cwd=ROOT,
        )
        try:
            yield child, output
        finally:
            child.stop(timeout=5.0)


def _watch(child: Child, testbed: Testbed, concurrency: int, output: Path) -> tuple[Mark, Mark, float]:
    """Return the marks at both ends of the window, and the CPU seconds before the first message.

    The window begins when every worker has its connection, even if there are few messages.
    """
    total = testbed.messages
    begin = max(total * FIRST_MARK, 2 * concurrency)
    first: Mark | None = None
    before: float | None = None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        messages = settled(testbed.redis)
        if not child.running:
            break
        mark = Mark(time.perf_counter(), child.cpu_seconds(), messages, child.peak_rss_mb())
        if before is None and messages:
            before = mark.cpu
        if first is None and messages >= begin:
            first = mark
        if first and first is not mark and before is not None and messages >= total * LAST_MARK:
            return first, mark, before
        time.sleep(_LOOK_SECONDS)
    raise Failed(_said(child, output))


def _check(child: Child, redis: RedisServer, output: Path, *, enqueued: int | None) -> None:
    """Check that the daemon stopped cleanly, and that every message is settled or back on the queue.

    Args:
        child: The daemon, which has ended.
        redis: The queue's server.
        output: The daemon's log lines.
        enqueued: Number of messages; None if the daemon enqueued them itself and the ledger counts them.
    """
    ledger = {name.decode(): value for name, value in redis.client.hgetall(_LEDGER).items()}  # type: ignore[union-attr] # not awaitable: ours is the synchronous client
    ends = log_lines(output, "service_stopped")
    created = int(ledger.get("created", 0)) if enqueued is None else enqueued
    accounted = int(ledger.get("processed", 0)) + int(ledger.get("missed", 0)) + redis.waiting(LIST)
    good = ends and not any(ends[0].get(name, 0) for name in ("messages_failed", "dead", "errors"))
    if child.process.returncode != 0 or not good or accounted != created:
        raise Failed(f"{accounted} of {created} messages accounted for: {_said(child, output)}")


def _said(child: Child, output: Path) -> str:
    return f"exit {child.process.returncode}: {child.stderr_tail()} {output.read_text()[-1500:]}"
