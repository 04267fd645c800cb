"""Starts the clients that nobody here wrote, Locust and k6, each playing brief 001's client.

Tests run them with `run_client`; the users benchmark takes only the commands and measures the processes.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs

LOCUST, K6 = "locust", "k6"
HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
_GRACE_SECONDS = 30.0


@attrs.frozen
class ClientLoad:
    """How many users do what, and for how long.

    Attributes:
        users: Users at the same time.
        spawn_rate: New users a second until all are there.
        seconds: How long the client runs, the ramp included.
        jobs: Jobs that a user creates before it polls.
        poll_seconds: Between two polls of a job.
        job: The body of a submission.
    """

    users: int
    spawn_rate: float
    seconds: float
    jobs: int = 3
    poll_seconds: float = 1.0
    job: Mapping[str, object] = attrs.field(factory=lambda: {"type": "factorial", "payload": {"n": 20}})

    @property
    def ramp_seconds(self) -> float:
        """How long it takes until all users are there."""
        return self.users / self.spawn_rate


@attrs.frozen
class ClientSummary:
    """What a client counted.

    Attributes:
        requests: Requests answered or failed.
        failures: Answers that were neither 2xx nor 429, and jobs that did not succeed.
        jobs_submitted: Jobs accepted.
        jobs_done: Jobs seen to have succeeded; those under way at the end are missing.
        p50_ms: Median response time.
        p95_ms: The same for all but five in a hundred.
    """

    requests: int
    failures: int
    jobs_submitted: int
    jobs_done: int
    p50_ms: float
    p95_ms: float


def command(client: str, url: str, load: ClientLoad, programs: Path = PROGRAMS) -> list[str]:
    """Return the command line of a client.

    Args:
        client: `LOCUST` or `K6`.
        url: The job service, without a path.
        load: What it does.
        programs: The folder that has the client's program.
    """
    program = str(programs / client)
    if client == LOCUST:
        users = ["-u", str(load.users), "-r", f"{load.spawn_rate:g}", "-t", f"{load.seconds:g}s"]
        quiet = ["--headless", "--only-summary", "--loglevel", "WARNING"]
        return [program, "-f", str(HERE / "locust_jobs.py"), "-H", url, *users, *quiet]
    return [program, "run", "--quiet", "--no-usage-report", str(HERE / "k6_jobs.js")]


def variables(url: str, load: ClientLoad, summary: Path | None = None) -> dict[str, str]:
    """Return the environment variables that both scripts read.

    Args:
        url: The job service, without a path.
        load: What the client does.
        summary: The file that it writes its summary to.
    """
    return {
        "HOST": url,
        "USERS": str(load.users),
        "SECONDS": f"{load.seconds:g}",
        "RAMP_SECONDS": f"{load.ramp_seconds:g}",
        "JOBS": str(load.jobs),
        "POLL_SECONDS": f"{load.poll_seconds:g}",
        "JOB": json.dumps(load.job),
        **({"SUMMARY": str(summary)} if summary else {}),
    }


def run_client(client: str, url: str, load: ClientLoad) -> ClientSummary:
    """Run a client to its end and return what it counted.

    Args:
        client: `LOCUST` or `K6`.
        url: The job service, without a path.
        load: What it does.

    Raises:
        AssertionError: It wrote no summary; the text is what it printed.
        subprocess.TimeoutExpired: It did not end by itself.
    """
    with tempfile.TemporaryDirectory(prefix="client-") as folder:
        summary = Path(folder) / "summary.json"
        done = subprocess.run(
            command(client, url, load),
            env=os.environ | variables(url, load, summary),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=load.seconds + _GRACE_SECONDS,
        )
        assert summary.exists(), f"{client}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        return ClientSummary(**json.loads(summary.read_text()))
