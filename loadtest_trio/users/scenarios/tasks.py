"""Brief 003's client on ``/tasks``: http-fetch and factorial, five to one; status until final; the result.

A task that FAILED is a failure although the answer is 200. Options: ``url`` (what http-fetch fetches:
the service's own ``/api/jobs/health``), ``n`` (of factorial, 1000), ``poll``, ``patience``, ``pause``
(seconds between two tasks; 0).
"""

from typing import Any

from loadtest_trio.users.jobs_seen import SUCCEEDED, Job
from loadtest_trio.users.response import Response
from loadtest_trio.users.scenario import scenario
from loadtest_trio.users.scenarios.jobs import told
from loadtest_trio.users.scenarios.polling import job_id, refused, until_done
from loadtest_trio.users.user import User


@scenario(weight=5)
async def http_fetch(user: User) -> None:
    """Have a URL fetched."""
    url = user.option("url", f"{user.url}/api/jobs/health")
    await submit_and_wait(user, {"type": "http-fetch", "url": url})


@scenario(weight=1)
async def factorial(user: User) -> None:
    """Have a factorial computed."""
    await submit_and_wait(user, {"type": "factorial", "n": user.option("n", 1000)})


async def submit_and_wait(user: User, task: dict[str, Any]) -> None:
    """Submit a task, ask for its status every second until it is final, then for its result."""
    response = await user.post("/tasks/submissions", json=task)
    if found := job_id(user, response):
        user.submitted(response, found)
    elif response.status in (429, 503):
        await refused(user, response)
        return
    for job, _ in await until_done(user, lambda job: poll(user, job)):
        result = await user.get("/tasks/{id}", id=job.id)
        if job.state != SUCCEEDED:
            result.fail("the task FAILED")
    pause = user.option("pause", 0.0)
    if pause:
        await user.wait(pause)


async def poll(user: User, job: Job) -> tuple[Response, str, float | None]:
    """Ask for a task's status."""
    response = await user.get("/tasks/submissions/{id}", id=job.id)
    word, queued = told(response)
    if word == "FAILED":
        response.fail("the task FAILED")
    return response, word, queued
