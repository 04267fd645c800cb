"""Random kills of the job service: API, worker and compute processes die while clients submit and poll.

    clients ──► api 0, api 1 ──► [ Redis ] ──► worker 0, worker 1 ──► compute processes
                  └────────────── SIGKILL at random ─────────────┘         └── SIGKILL, too

Every client submits in order under idempotency keys, and repeats what was not answered at another process.
Whatever was answered 202 must end in exactly one final status, and each client's jobs in the order of their
submission. Run it with ``scripts/job-trials``.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import attrs
import httpx
import psutil
import trio

from loadtest_trio.backends.embedded import RedisServer, S3Server
from loadtest_trio.backends.embedded.ports import free_ports
from loadtest_trio.metrics.machine import describe
from tests.support.progress import end_progress, show_progress
from tests.support.results import write_results
from tests.support.rig import BUCKET, start_redis
from tests.support.service_process import ServiceProcess

APIS, WORKERS, CLIENTS = 2, 2, 20
BATCH = 25
ENDED = ("COMPLETED", "DEAD_LETTER", "CANCELLED")
SETTINGS = {
    "QUEUE_NAME": "job-trials",
    "CONSUMER_TTL_SECONDS": "1",
    "MAX_DELIVERIES": "100",
    "JOB_RATE_LIMIT_PER_MINUTE": "0",
    "RUN_DURATION_SECONDS": "0",
    "COMPUTE_PROCESSES": "1",
    "S3_CREATE_BUCKET": "true",
    "SHUTDOWN_GRACE_SECONDS": "5",
    "STARTUP_TIMEOUT_SECONDS": "60",
}
KINDS: list[dict[str, Any]] = [
    {"type": "sleep", "payload": {"ms": 2}},
    {"type": "factorial", "payload": {"n": 100}},
    {"type": "sha512", "payload": {"data": "x", "iterations": 40_000}},  # in a compute process
]


@attrs.define
class Outcome:
    """What a trial showed.

    Attributes:
        accepted: Jobs answered 202.
        kills: SIGKILLs by the kind of process.
        completed: Jobs that ended well.
        not_completed: Jobs that ended otherwise; none should.
        without_end: Accepted jobs without a final status; none may be.
        out_of_order: Jobs that began before an earlier one of their client had ended; none may.
        ledger: Of the queue, at the end.
    """

    accepted: int = 0
    kills: dict[str, int] = attrs.field(factory=lambda: {"api": 0, "worker": 0, "compute": 0})
    completed: int = 0
    not_completed: int = 0
    without_end: int = 0
    out_of_order: int = 0
    ledger: dict[str, int] = attrs.field(factory=dict)

    @property
    def problems(self) -> list[str]:
        """What must not be."""
        found = []
        if self.without_end or self.not_completed:
            found.append(f"{self.without_end} jobs without an end, {self.not_completed} not completed")
        if self.out_of_order:
            found.append(f"{self.out_of_order} jobs out of order")
        if self.ledger.get("created") != self.accepted or self.ledger.get("processed") != self.accepted:
            found.append(f"accepted {self.accepted}, but the ledger says {self.ledger}")
        return found


class Fleet:
    """The processes of the service, started again after each kill."""

    def __init__(self, environ: dict[str, str], rng: Random) -> None:
        self._environ = environ
        self._rng = rng
        self.ports = free_ports(APIS)
        self._processes: dict[tuple[str, int], ServiceProcess] = {}

    def start(self) -> None:
        """Start everything."""
        for number in range(APIS):
            self._start("api", number)
        for number in range(WORKERS):
            self._start("worker", number)

    def _start(self, kind: str, number: int) -> None:
        environ = {**SETTINGS, **self._environ, "ROLES": kind}
        if kind == "api":
            environ["API_PORT"] = str(self.ports[number])
        self._processes[kind, number] = ServiceProcess("jobs", environ=environ)

    def url(self) -> str:
        """Return the address of one of the API processes."""
        return f"http://127.0.0.1:{self._rng.choice(self.ports)}"

    def kill_one(self, outcome: Outcome) -> None:
        """Kill a process at random, and start it again if it is one of ours."""
        kind, number = self._rng.choice(list(self._processes))
        process = self._processes[kind, number]
        if kind == "worker" and self._rng.random() < 0.4:
            for child in _children(process.process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
                    outcome.kills["compute"] += 1
            return
        process.signal(signal.SIGKILL)
        process.wait(30)
        process.__exit__(None, None, None)
        outcome.kills[kind] += 1
        self._start(kind, number)

    def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.__exit__(None, None, None)


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children())
    return []


class Trial:
    """One trial.

    Args:
        fleet: What is killed.
        jobs: How many jobs to submit.
        kills: How many processes to kill meanwhile.
        rng: Chooses what and when.
    """

    def __init__(self, fleet: Fleet, jobs: int, kills: int, rng: Random) -> None:
        self._fleet = fleet
        self._jobs = jobs
        self._kills = kills
        self._rng = rng
        self.outcome = Outcome()
        self._ids: dict[str, list[str]] = {}

    async def run(self) -> Outcome:
        """Submit and kill, then wait for the end of every job and look at each of them."""
        async with httpx.AsyncClient(timeout=10) as client, trio.open_nursery() as nursery:
            killing = trio.CancelScope()
            nursery.start_soon(self._kill, killing)
            async with trio.open_nursery() as clients:
                for number in range(CLIENTS):
                    clients.start_soon(self._submit_all, client, f"client-{number}")
            await self._wait_for_the_end(client)
            killing.cancel()
            await self._examine(client)
        return self.outcome

    async def _kill(self, scope: trio.CancelScope) -> None:
        with scope:
            while sum(self.outcome.kills.values()) < self._kills:
                await trio.sleep(self._rng.uniform(0.2, 1.2))
                await trio.to_thread.run_sync(self._fleet.kill_one, self.outcome)

    async def _submit_all(self, client: httpx.AsyncClient, name: str) -> None:
        ids = self._ids[name] = []
        for begin in range(0, self._jobs // CLIENTS, BATCH):
            wanted = [KINDS[(begin + each) % 50 // 24] for each in range(BATCH)]
            answer = await self._persist(
                client,
                "POST",
                "/api/jobs/batch",
                json={"jobs": wanted},
                headers={"X-Client-Id": name, "Idempotency-Key": f"batch-{begin}"},
            )
            assert [each["status"] for each in answer["jobs"]] == [202] * BATCH
            ids += [each["job"]["id"] for each in answer["jobs"]]
            self.outcome.accepted += BATCH
            await trio.sleep(self._rng.uniform(0, 0.2))

    async def _persist(self, client: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
        """Ask one API process after the other until one answers."""
        with trio.fail_after(120):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.request(method, self._fleet.url() + path, **options)
                    if answer.status_code < 500:
                        assert answer.is_success, answer.text
                        return answer.json()
                await trio.sleep(0.2)

    async def _wait_for_the_end(self, client: httpx.AsyncClient) -> None:
        with trio.fail_after(300):
            while True:
                stats = await self._persist(client, "GET", "/api/jobs/stats")
                left = sum(stats["byStatus"][each] for each in ("PENDING", "RUNNING", "RETRYING"))
                show_progress(f"{self.outcome.accepted} accepted, {left} left, {self.outcome.kills}")
                if not left and sum(self.outcome.kills.values()) >= self._kills:
                    self.outcome.ledger = stats["queue"]
                    end_progress()
                    return
                await trio.sleep(0.5)

    async def _examine(self, client: httpx.AsyncClient) -> None:
        for ids in self._ids.values():
            jobs = [await self._persist(client, "GET", f"/api/jobs/{each}") for each in ids]
            self.outcome.completed += sum(job["status"] == "COMPLETED" for job in jobs)
            self.outcome.without_end += sum(job["status"] not in ENDED for job in jobs)
            self.outcome.not_completed += sum(job["status"] in ENDED[1:] for job in jobs)
            ends = [job["endedAt"] for job in jobs]
            begins = [job["startedAt"] for job in jobs]
            self.outcome.out_of_order += sum(
                begin < end for begin, end in zip(begins[1:], ends, strict=False) if begin and end
            )


def try_out(redis: RedisServer, s3: S3Server, *, jobs: int = 1000, kills: int = 10, seed: int = 1) -> Outcome:
    """Run one trial on the given servers."""
    rng = Random(seed)
    fleet = Fleet({"REDIS_ENDPOINT": redis.url, "S3_BUCKET": BUCKET, **s3.environment()}, rng)
    try:
        fleet.start()
        return trio.run(Trial(fleet, jobs, kills, rng).run)
    finally:
        fleet.stop()


def main() -> int:
    """Run the trial and write what came out; the exit code is 1 when something must not be."""
    parser = argparse.ArgumentParser(prog="scripts/job-trials", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=Path("reports"), help="folder of the results")
    options = parser.parse_args()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder, start_redis(Path(folder)) as redis, S3Server.start() as s3:
        outcome = try_out(redis, s3, jobs=options.jobs, kills=options.kills, seed=options.seed)
    figures = {
        "accepted": outcome.accepted,
        **{f"killed {kind}": count for kind, count in outcome.kills.items()},
        "completed": outcome.completed,
        "ended otherwise": outcome.not_completed,
        "without an end": outcome.without_end,
        "out of order": outcome.out_of_order,
        "problems": len(outcome.problems),
    }
    results = {
        "title": "Random kills of the job service",
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "machine": describe(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "seed": options.seed,
        "figures": figures,
    }
    write_results(options.into, "job-trials", results, [figures])
    for problem in outcome.problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
