"""Jobs on the dashboard: one by its id, a client's latest, and what can be done to one."""

from typing import Any

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
}


def add_jobs(app: QuartTrio, access: Access, store: JobStore) -> None:
    """Add ``GET /jobs?id=ID``, ``GET /jobs?client=NAME``, and ``POST /jobs/ID/retry`` and ``/cancel``.

    Args:
        app: The application.
        access: Who may look, and who may act.
        store: Where jobs are.
    """

    @app.get("/jobs")
    async def find() -> Any:
        if not access.may_look(request):
            return {"error": "the dashboard's token is needed"}, 401
        try:
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
        return [job_view(each) for each in await store.get([job]) if each]
    if is_name(client):
        page = await store.page(client, size=_SHOWN)
        return [job_view(each) for each in page.jobs]
    return []
