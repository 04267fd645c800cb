"""Polling jobs until they end: what the built-in scenarios have in common."""

from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from time import time

import trio

from loadtest_trio.users.jobs_seen import Job
from loadtest_trio.users.response import Response
from loadtest_trio.users.user import User

Poll = Callable[[Job], Awaitable[tuple[Response, str, float | None]]]
"""Asks for one job; returns the reply, the state in the service's word ("" when the reply has none), and the
seconds that it was queued where the service tells."""


_LONGEST_WAIT_SECONDS = 60.0


async def until_done(user: User, poll: Poll) -> list[tuple[Job, Response]]:
    """Poll every open job of a user once a `poll` interval, until all have ended or patience is over.

    Options of the scenario: ``poll`` (seconds, 1) and ``patience`` (seconds, 300), after which the jobs that
    are left are abandoned and counted as such.

    Returns:
        The jobs that ended, each with the reply that said so.
    """
    interval, patience = user.option("poll", 1.0), user.option("patience", 300.0)
    ended: list[tuple[Job, Response]] = []
    until = trio.current_time() + patience
    while user.jobs and trio.current_time() < until:
        await user.wait(interval)
        for job in list(user.jobs):
            response, word, queued = await poll(job)
            if word and user.saw(job, word, response, queued):
                ended.append((job, response))
            elif not word and response.ok:
                response.fail("no status of a job in the answer")
    user.give_up()
    return ended


def job_id(user: User, response: Response) -> str:
    """Return the id in the answer to a submission; "" when it is a refusal, or a failure for want of an id.

    A page that answers 200 to everything would otherwise look like a service that keeps up.
    """
    body = response.json() if response.ok else None
    found = body.get("id") if isinstance(body, dict) else None
    if isinstance(found, str | int) and found != "":
        return str(found)
    if response.ok:
        response.fail("no id of a job in the answer")
        user.failed = True
    return ""


async def refused(user: User, response: Response) -> str:
    """Wait as long as a service asks for that has refused a submission (429, 503), a minute at most.

    Returns:
        What is wrong if it refuses once more; "" where it has asked for more than a minute.
    """
    seconds = _asked_for(response.header("Retry-After"))
    await user.think(min(_LONGEST_WAIT_SECONDS, 1.0 if seconds is None else seconds))
    if seconds is None:
        return "refused again, and no Retry-After says for how long"
    return "refused again after the wait that was asked for" if seconds <= _LONGEST_WAIT_SECONDS else ""


def _asked_for(retry_after: str) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3: a number or a date), None without."""
    if retry_after.replace(".", "", 1).isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except (ValueError, OverflowError):
        return None
