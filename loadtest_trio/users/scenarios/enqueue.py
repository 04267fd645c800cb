"""Brief 002's client: PUT work, then pull what is completed, by whomever it was put.

Options: ``iterations`` (of sha512, 10), ``data`` (Hello), ``top`` (how many to pull, 10), ``poll``,
``patience``.
"""

from typing import Any

from loadtest_trio.users.jobs_seen import SUCCEEDED
from loadtest_trio.users.scenario import scenario
from loadtest_trio.users.scenarios.polling import refused
from loadtest_trio.users.user import Response, User


@scenario()
async def enqueue_and_pull(user: User) -> None:
    """Put one piece of work, then pull once a second until it is done."""
    response = await user.put(
        "/enqueue?iterations={iterations}",
        data=f"data={user.option('data', 'Hello')}",
        iterations=user.option("iterations", 10),
    )
    body = response.json()
    if not (response.ok and isinstance(body, dict) and "id" in body):
        await refused(user, response)
        return
    job = user.submitted(response, body["id"])
    user.shared[job.id] = (user, job)
    waited, patience, interval = 0.0, user.option("patience", 300.0), user.option("poll", 1.0)
    while not job.ended and waited < patience:
        await user.wait(interval)
        waited += interval
        pulled = await user.post("/pullCompleted?top={top}", top=user.option("top", 10))
        hand_out(user.shared, pulled)
    user.shared.pop(job.id, None)
    user.give_up()


def hand_out(shared: dict[str, Any], pulled: Response) -> None:
    """Tell the users who put it of the work that was pulled."""
    results = pulled.json() if pulled.ok else None
    for each in results if isinstance(results, list) else []:
        owner, job = shared.pop(str(each.get("id")), (None, None))
        if owner is not None:
            owner.saw(job, SUCCEEDED, pulled)
