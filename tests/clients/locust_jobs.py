"""Brief 001's client for Locust: create jobs, poll each every second until all are done, start over.

    locust -f tests/clients/locust_jobs.py --headless -H http://127.0.0.1:8000 -u 10 -r 10 -t 10s

Variables: JOBS (3), POLL_SECONDS (1), JOB (the body of a submission), SUMMARY (a file for a JSON summary).
A 429 is no failure: the user waits as long as Retry-After says. A job that ends badly fails its poll.
"""
# mypy: disable-error-code="import-untyped,untyped-decorator"

import json
import os
import time
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task

JOBS = int(os.environ.get("JOBS", "3"))
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))
JOB = json.loads(os.environ.get("JOB", '{"type": "factorial", "payload": {"n": 20}}'))
SUCCEEDED, FAILED = {"succeeded", "completed"}, {"dead", "dead_letter", "failed", "cancelled"}

numbers = count()
jobs = {"submitted": 0, "done": 0}


class JobUser(FastHttpUser):
    """One client of the job service."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Choose a client id."""
        self.headers = {"X-Client-Id": f"locust-{next(numbers)}"}

    @task
    def create_and_poll(self) -> None:
        """Create the jobs, then poll them until all are done."""
        pending = [job_id for job_id in (self.submit() for _ in range(JOBS)) if job_id]
        due = time.monotonic()
        while pending:
            due += POLL_SECONDS
            gevent.sleep(max(0.0, due - time.monotonic()))
            pending = [job_id for job_id in pending if not self.has_ended(job_id)]

    def submit(self) -> str | None:
        """Submit one job; return its id, or None when it was refused."""
        with self.client.post("/api/jobs", json=JOB, headers=self.headers, catch_response=True) as response:
            if response.status_code == 202:
                jobs["submitted"] += 1
                return str(response.json()["id"])
            if response.status_code == 429:
                response.success()
            else:
                response.failure(f"status {response.status_code}")
        gevent.sleep(float(response.headers.get("Retry-After", 1)))
        return None

    def has_ended(self, job_id: str) -> bool:
        """Ask for a job's status; count it when it is done."""
        path, name = f"/api/jobs/{job_id}", "/api/jobs/{id}"
        with self.client.get(path, name=name, headers=self.headers, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return True
            status = str(response.json()["status"]).lower()
            if status in FAILED:
                response.failure(f"the job is {status}")
            elif status in SUCCEEDED:
                jobs["done"] += 1
            return status in SUCCEEDED | FAILED


@events.quitting.add_listener
def write_summary(environment: Any, **_: Any) -> None:
    """Write what was counted, when SUMMARY names a file."""
    if not (target := os.environ.get("SUMMARY")):
        return
    total = environment.stats.total
    summary = {
        "requests": total.num_requests,
        "failures": total.num_failures,
        "jobs_submitted": jobs["submitted"],
        "jobs_done": jobs["done"],
        "p50_ms": float(total.get_response_time_percentile(0.5) or 0),
        "p95_ms": float(total.get_response_time_percentile(0.95) or 0),
    }
    Path(target).write_text(json.dumps(summary))
