"""Brief 002's client: PUT work, then pull what is completed, by whomever it was put.

Options: ``iterations`` (of sha512, 10), ``data`` (Hello), ``top`` (how many to pull, 10), ``poll``,
``patience``.
"""

from typing import Any
from urllib.parse import urlencode

import trio

from loadtest_trio.users.jobs_seen import SUCCEEDED
from loadtest_trio.users.response import Response
from loadtest_trio.users.scenario import scenario
from loadtest_trio.users.scenarios.polling import job_id, refused
from loadtest_trio.users.user import User


@scenario()
async def enqueue_and_pull(user: User) -> None:
    """Put one piece of work, then pull once a second until it is done."""
    response = await user.put(
        "/enqueue?iterations={iterations}",
        data=urlencode({"data": user.option("data", "Hello")}),
        iterations=user.option("iterations", 10),
    )
    found = job_id(user, response)
    if not found:
        await refused(user, response)
        return
    job = user.submitted(response, found)
    user.shared[job.id] = (user, job)
    until, interval = trio.current_time() + user.option("patience", 300.0), user.option("poll", 1.0)
    while not job.ended and trio.current_time() < until:
        await user.wait(interval)
        pulled = await user.post("/pullCompleted?top={top}", top=user.option("top", 10))
        hand_out(user.shared, pulled)
    user.shared.pop(job.id, None)
    user.give_up()


def hand_out(shared: dict[str, Any], pulled: Response) -> None:
    """Tell the users who put it of the work that was pulled."""
    if not pulled.ok:
        return
    results = pulled.json()
    if not (isinstance(results, list) and all(isinstance(each, dict) for each in results)):
        pulled.fail("no list of jobs in the answer")
        return
    for each in results:
        owner, job = shared.pop(str(each.get("id")), (None, None))
        if owner is not None:
            owner.saw(job, SUCCEEDED, pulled)
