"""Runs the load service on private servers and records its size every ten seconds.

Counts come from the service's metrics line; memory, file descriptors and threads come from the operating
system. Both go into one row of `samples.csv`. `jobs.py` records the job service with the same parts.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil

from benchmarks.output import report_progress
from benchmarks.process import CLIENT_CORE
from benchmarks.soak.backends import Backends

INTERVAL_SECONDS = 10
LOG = "service.log"
_OBJECTS_A_RATE = 3  # seconds of messages; with fewer objects some DELETEs would find no object
_POLL_SECONDS = 0.2
_START_SECONDS = 120.0
STOP_SECONDS = 90.0
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


@attrs.frozen(kw_only=True)
class Watch:
    """How a running service is sampled, and when it is stopped.

    Attributes:
        columns: The columns of `samples.csv`.
        take: Returns one row, given a metrics line and the service's process.
        minutes: Duration, for the progress line.
        over: Returns whether the service should be stopped now; asked several times a second.
    """

    columns: tuple[str, ...]
    take: Callable[[Line, psutil.Process], Line]
    minutes: float
    over: Callable[[], bool]


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
    log = folder / LOG
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
            deadline = time.monotonic() + minutes * 60 + _START_SECONDS + STOP_SECONDS
            how = Watch(
                columns=COLUMNS, take=sample, minutes=minutes, over=lambda: time.monotonic() > deadline
            )
            run = watch(service, folder, how)
        finally:
            kill(service)
    conclude(folder, {"service": "load", "backends": backends.title, **run})


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process unless it has ended."""
    if process.poll() is None:
        process.kill()
        process.wait()


def conclude(folder: Path, run: Line) -> None:
    """Write `run.json`, and delete the log of a service that ended well.

    Raises:
        RuntimeError: The service's exit code is not 0.
    """
    (folder / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    if run["exit_code"] != 0:
        raise RuntimeError(f"the service ended with {run['exit_code']}: see {folder}")
    (folder / LOG).unlink()


def watch(service: "subprocess.Popen[bytes]", folder: Path, how: Watch) -> Line:
    """Follow a service's log until it ends; write a sample for each metrics line.

    Args:
        service: The running service, which writes its log to `LOG` in the folder.
        folder: Receives `samples.csv`.
        how: What is sampled.

    Returns:
        The content of `run.json`: first and last line, warnings and errors, exit code.
    """
    process = psutil.Process(service.pid)
    run: Line = {"started": "", "service_started": {}, "service_stopped": {}, "events": []}
    stopping = False
    with (folder / "samples.csv").open("w", newline="") as file:
        samples = csv.DictWriter(file, how.columns)
        samples.writeheader()
        for line in _follow(service, folder / LOG, how.over):
            match line["event"]:
                case "metrics" if not stopping:
                    samples.writerow(how.take(line, process))
                    file.flush()
                    _show(line, how.minutes)
                case "service_started":
                    run["started"] = line["timestamp"]
                    run["service_started"] = line
                case "service_stopping":
                    stopping = True
                case "service_stopped":
                    run["service_stopped"] = line
                case _ if line["level"] in ("WARNING", "ERROR") and len(run["events"]) < _MOST_EVENTS:
                    run["events"].append(line)
    run["exit_code"] = service.wait(STOP_SECONDS)
    return run


def _show(line: Line, minutes: float) -> None:
    report_progress(
        f"{line['uptime_seconds'] / 60:.1f} of {minutes:.0f} min: "
        f"{line['rate_per_second']:.0f} messages/s, {line['errors']} errors"
    )


def sample(line: Line, process: psutil.Process) -> Line:
    """Return one sample: figures from the metrics line, and from the operating system at that time."""
    ledger = {"lost": line["ledger"]["lost"], "ledger_difference": line["ledger"]["difference"]}
    return {**{name: line[name] for name in SAID}, **ledger, **size(process)}


def size(process: psutil.Process) -> Line:
    """Return the memory (MB), file descriptors and threads of a process."""
    with process.oneshot():
        return {
            "rss_mb": round(process.memory_info().rss / 2**20, 3),
            "fds": process.num_fds(),
            "threads": process.num_threads(),
        }


def _follow(service: "subprocess.Popen[bytes]", log: Path, over: Callable[[], bool]) -> Iterator[Line]:
    """Yield log lines as they appear, until the service has ended and all have been read.

    Args:
        service: Gets SIGTERM once `over` says so.
        log: Its log.
        over: Whether to stop it.
    """
    told = False
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
            if not told and over():
                service.send_signal(signal.SIGTERM)
                told = True
            time.sleep(_POLL_SECONDS)
