"""Jobs on the dashboard: one by its id, a client's latest, the latest of all, and what can be done to one."""

from collections.abc import Sequence
from typing import Any

import attrs
from quart import request
from quart_trio import QuartTrio

from loadtest_trio.errors import RedisError
from loadtest_trio.jobs.store import Change, JobStore, is_name
from loadtest_trio.metrics import logs
from loadtest_trio.web.api.views import job_view
from loadtest_trio.web.dashboard.access import Access

_SHOWN = 20
_REFUSALS = {
    Change.REFUSED: "its status does not allow that",
    Change.UNKNOWN: "there is no such job any more",
    Change.PURGED: "its dead letter has been deleted",
}


@attrs.frozen
class FoundJobs:
    """Where the dashboard finds jobs.

    Attributes:
        store: All jobs of the queue.
        latest: The ids of the latest that this process has accepted, the oldest first. An index in Redis
            would cost each submission a write.
    """

    store: JobStore
    latest: Sequence[str] = ()


def add_jobs(app: QuartTrio, access: Access, jobs: FoundJobs) -> None:
    """Add ``GET /jobs?id=ID``, ``?client=NAME``, ``?latest=true``; ``POST /jobs/ID/retry`` and ``/cancel``.

    Args:
        app: The application.
        access: Who may look, and who may act.
        jobs: Where jobs are.
    """
    store = jobs.store

    @app.get("/jobs")
    async def find() -> Any:
        if not access.may_look(request):
            return {"error": "the dashboard's token is needed"}, 401
        try:
            if "latest" in request.args:
                found = await _read(store, [*jobs.latest][::-1])
            else:
                found = await _find(store, request.args.get("id", ""), request.args.get("client", ""))
        except RedisError as error:
            return {"error": str(error)}, 503
        return {"jobs": found}

    @app.post("/jobs/<path:job>/<any(retry, cancel):action>")
    async def change(job: str, action: str) -> Any:
        if not access.may_control(request):
            return {"error": "only this machine, or who brings the token, may do that"}, 403
        try:
            done = await (store.retry(job) if action == "retry" else store.cancel(job))
        except RedisError as error:
            return {"error": str(error)}, 503
        if done is not Change.DONE:
            return {"error": f"{job}: {_REFUSALS[done]}"}, 409
        logs.event("control_used", control=f"job_{action}", value=job)
        return {"said": f"{job}: {'back on the queue' if action == 'retry' else 'cancelled'}"}


async def _find(store: JobStore, job: str, client: str) -> list[dict[str, Any]]:
    if job:
        return await _read(store, [job])
    if is_name(client):
        page = await store.page(client, size=_SHOWN)
        return [job_view(each) for each in page.jobs]
    return []


async def _read(store: JobStore, ids: Sequence[str]) -> list[dict[str, Any]]:
    return [job_view(each) for each in await store.get(ids) if each] if ids else []
