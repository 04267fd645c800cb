"""Runs the service on private servers and records its size every ten seconds.

Counts come from the service's metrics line; memory, file descriptors and threads come from the operating
system. Both go into one row of `samples.csv`.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.output import report_progress
from benchmarks.process import CLIENT_CORE
from benchmarks.soak.backends import Backends

INTERVAL_SECONDS = 10
_OBJECTS_A_RATE = 3  # seconds of messages; with fewer objects some DELETEs would find no object
_POLL_SECONDS = 0.2
_START_SECONDS = 120.0
_STOP_SECONDS = 90.0
_MOST_EVENTS = 200

SAID = (
    "timestamp",
    "uptime_seconds",
    "rate_per_second",
    "end_to_end_p99_ms",
    "loop_lag_ms",
    "schedule_lag_ms",
    "queue_length",
    "in_flight",
    "delayed",
    "dead",
    "messages_created",
    "messages_processed",
    "messages_missed",
    "messages_withheld",
    "settlements_stale",
    "errors",
    "objects",
    "cpu_percent",
)
"""What is taken over from a metrics line."""

COLUMNS = (*SAID, "lost", "ledger_difference", "rss_mb", "fds", "threads")

Line = dict[str, Any]


def record(folder: Path, backends: Backends, *, minutes: float, rate: float, workers: int) -> None:
    """Run one soak test.

    Args:
        folder: Receives `samples.csv` and `run.json`, and the service's log while it runs.
        backends: The Redis and S3 servers.
        minutes: Duration.
        rate: Messages per second.
        workers: ``WORKER_CONCURRENCY``.

    Raises:
        RuntimeError: The service ended early, or with an exit code other than 0.
        Unavailable: A server is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    with backends.start() as where, log.open("wb") as output:
        environ = {
            **where,
            "LOG_FORMAT": "json",
            "WORKER_CONCURRENCY": str(workers),
            "LOG_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
            "SCHEDULER_MESSAGES_PER_SECOND": str(rate),
            "PRECONDITION_MIN_OBJECTS": str(max(100, round(_OBJECTS_A_RATE * rate))),
            "PRECONDITION_MAX_OBJECTS": str(max(1000, round(2 * _OBJECTS_A_RATE * rate))),
            "RUN_DURATION_SECONDS": str(minutes * 60),
        }
        command = [sys.executable, "-m", "loadtest_trio"]
        service = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=output)
        if backends.apart:
            os.sched_setaffinity(service.pid, {CLIENT_CORE})
        try:
            run = _watch(service, log, folder, minutes * 60 + _START_SECONDS + _STOP_SECONDS)
        finally:
            if service.poll() is None:
                service.kill()
                service.wait()
    (folder / "run.json").write_text(json.dumps({"backends": backends.title, **run}, indent=1) + "\n")
    if run["exit_code"] != 0:
        raise RuntimeError(f"the service ended with {run['exit_code']}: see {folder}")
    log.unlink()


def _watch(service: "subprocess.Popen[bytes]", log: Path, folder: Path, seconds: float) -> Line:
    process = psutil.Process(service.pid)
    run: Line = {"started": "", "service_started": {}, "service_stopped": {}, "events": []}
    stopping = False
    with (folder / "samples.csv").open("w", newline="") as file:
        samples = csv.DictWriter(file, COLUMNS)
        samples.writeheader()
        for line in _follow(service, log, seconds):
            match line["event"]:
                case "metrics" if not stopping:
                    samples.writerow(sample(line, process))
                    file.flush()
                    _show(line, seconds - _START_SECONDS - _STOP_SECONDS)
                case "service_started":
                    run["started"] = line["timestamp"]
                    run["service_started"] = line
                case "service_stopping":
                    stopping = True
                case "service_stopped":
                    run["service_stopped"] = line
                case _ if line["level"] in ("WARNING", "ERROR") and len(run["events"]) < _MOST_EVENTS:
                    run["events"].append(line)
    run["exit_code"] = service.wait(_STOP_SECONDS)
    return run


def _show(line: Line, seconds: float) -> None:
    done, whole = (each / 60 for each in (line["uptime_seconds"], seconds))
    report_progress(
        f"{done:.1f} of {whole:.0f} min: {line['rate_per_second']:.0f} messages/s, {line['errors']} errors"
    )


def sample(line: Line, process: psutil.Process) -> Line:
    """Return one sample: figures from the metrics line, and from the operating system at that time."""
    with process.oneshot():
        size = {
            "rss_mb": round(process.memory_info().rss / 2**20, 3),
            "fds": process.num_fds(),
            "threads": process.num_threads(),
        }
    ledger = {"lost": line["ledger"]["lost"], "ledger_difference": line["ledger"]["difference"]}
    return {**{name: line[name] for name in SAID}, **ledger, **size}


def _follow(service: "subprocess.Popen[bytes]", log: Path, seconds: float) -> Iterator[Line]:
    """Yield log lines as they appear, until the service has ended and all have been read."""
    deadline = time.monotonic() + seconds
    with log.open() as lines:
        rest = ""
        while True:
            ended = service.poll() is not None
            text = rest + lines.read()
            *complete, rest = text.split("\n")
            for each in complete:
                yield json.loads(each)
            if ended:
                return
            if time.monotonic() > deadline:
                service.send_signal(signal.SIGTERM)
                deadline += _STOP_SECONDS
            time.sleep(_POLL_SECONDS)
