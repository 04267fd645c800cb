"""Brief 001's client on ``/api/jobs``: create three jobs, poll each every second until all are done.

Options: ``jobs`` (how many, 3), ``type`` (sleep), ``payload`` (JSON, ``{"ms": 50}``), ``ordered`` (1; 0:
jobs of a client may overlap), ``clients`` (client ids that the users share; 0: one a user), ``poll``,
``patience``.
"""

from math import isfinite
from typing import Any

import orjson

from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.jobs_seen import Job
from loadtest_trio.users.response import Response
from loadtest_trio.users.scenario import scenario
from loadtest_trio.users.scenarios.polling import job_id, refused, until_done
from loadtest_trio.users.user import User

_TOO_MANY = 429  # the client's own fault: no failure of the service
_EXPECTED = (200, 201, 202, _TOO_MANY)


@scenario()
async def create_and_poll(user: User) -> None:
    """Create the jobs, then poll them."""
    clients = user.option("clients", 0)
    client = f"customer-{user.rng.randrange(clients)}" if clients else user.id
    request = {"type": user.option("type", "sleep"), "payload": _payload(user)}
    if not user.option("ordered", 1):
        request["ordered"] = False
    wrong = ""
    for _ in range(user.option("jobs", 3)):
        response = await user.post(
            "/api/jobs", json=request, headers={"X-Client-Id": client}, expect=_EXPECTED
        )
        if response.status in (_TOO_MANY, 503):
            if wrong and not clients:  # with a client id of its own, it has done what it was asked to
                response.fail(wrong)
            wrong = await refused(user, response)
            continue
        wrong = ""
        if found := job_id(user, response):
            user.submitted(response, found)

    async def poll(job: Job) -> tuple[Response, str, float | None]:
        response = await user.get("/api/jobs/{id}", id=job.id)
        return response, *told(response)

    await until_done(user, poll)


def _payload(user: User) -> Any:
    text = user.option("payload", '{"ms": 50}')
    try:
        return orjson.loads(text)
    except ValueError:
        raise bad_flag("-P", f"payload={text}", 'JSON such as payload={"ms": 50}') from None


def told(response: Response) -> tuple[str, float | None]:
    """Return the status that a reply tells, "" when it tells none, and for how many seconds it was queued."""
    body: Any = response.json() if response.ok else None
    if not isinstance(body, dict):
        return "", None
    submitted, started = body.get("submittedAt"), body.get("startedAt")
    queued = None
    if isinstance(submitted, int | float) and isinstance(started, int | float):
        queued = max(0.0, started - submitted)
        queued = queued if isfinite(queued) else None
    return str(body.get("status", "")), queued
