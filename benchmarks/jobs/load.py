"""The load on a job service: wrk with mix.lua, one process on the servers' core."""

import json
import shutil
import tempfile
from pathlib import Path

import attrs

from benchmarks.process import SERVER_CORE, Child, Unavailable

SCRIPT = Path(__file__).with_name("mix.lua")
_GRACE_SECONDS = 30.0


class LoadError(Exception):
    """wrk failed, or it did not do what it was told; the text says what it printed."""


@attrs.frozen
class Mix:
    """What is requested.

    Attributes:
        submit: Submissions in a hundred requests; the others ask for the status of a job.
        clients: Size of the set of client ids.
        ordered: Whether the jobs of one client run in order, where a service knows about order.
        limit: End after so many accepted submissions; 0: when the time is over.
        factorial: Above 0, every job is the factorial of this number; 0: half of them are a short chain of
            SHA-512 and half a small factorial.
        known_ids: Jobs to ask for until the first submission is answered; without them, the first request of
            every connection is a submission.
    """

    submit: int = 30
    clients: int = 100_000
    ordered: bool = True
    limit: int = 0
    factorial: int = 0
    known_ids: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return the arguments of mix.lua."""
        return [
            f"submit={self.submit}",
            f"clients={self.clients}",
            f"ordered={int(self.ordered)}",
            f"limit={self.limit}",
            f"n={self.factorial}",
            *(f"id={job_id}" for job_id in self.known_ids),
        ]


@attrs.frozen
class LoadResult:
    """What wrk saw.

    Attributes:
        sent: Requests sent, answered or not: the last one of each connection is not.
        requests: Answered requests.
        seconds: How long it took.
        submitted: Submissions answered 202.
        not_2xx: Answers that were none of 200 to 299.
        socket_errors: Connections refused, reset or timed out.
        p50_ms: Median response time.
        p95_ms: The same for all but five in a hundred.
        p99_ms: The same for all but one in a hundred.
        last_ids: Ids of the latest jobs.
    """

    sent: int
    requests: int
    seconds: float
    submitted: int
    not_2xx: int
    socket_errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    last_ids: tuple[str, ...] = attrs.field(converter=tuple)


def run_wrk(url: str, mix: Mix, *, connections: int, seconds: float) -> LoadResult:
    """Load a service and return what wrk saw.

    Args:
        url: The service, without a path.
        mix: What is requested.
        connections: Open connections, each with one request at a time.
        seconds: For how long; whole seconds, as wrk knows no others.

    Raises:
        Unavailable: wrk is not installed.
        LoadError: It failed.
    """
    if not shutil.which("wrk"):
        raise Unavailable("no load generator: apt-get install wrk")
    duration = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "30s"]
    command += ["-s", str(SCRIPT), url, "--", *mix.arguments()]
    with tempfile.TemporaryDirectory(prefix="bench-jobs-wrk-") as folder:
        output = Path(folder) / "stdout"
        child = Child(
            command,
            core=SERVER_CORE,
            log=Path(folder) / "stderr",
            output=output,
        )
        child.wait(timeout=duration + _GRACE_SECONDS)
        return parse_summary(output.read_text(), child.stderr_tail())


def parse_summary(output: str, errors: str = "") -> LoadResult:
    """Return the result out of what wrk printed: the last line that is JSON.

    Raises:
        LoadError: There is none, or no request was answered.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(f"wrk printed no summary: {errors or output[-500:]}")
    result = LoadResult(**json.loads(lines[-1]))
    if not result.requests:
        raise LoadError(f"no request was answered: {errors or output[-500:]}")
    return result
