"""Jobs on the dashboard: found by id and by client, retried and cancelled by who may."""

from collections.abc import Sequence
from typing import Any

import pytest
from quart_trio import QuartTrio

from loadtest_trio.jobs.store import NewJob
from loadtest_trio.web.dashboard import Access, FoundJobs, Hub, add_dashboard
from tests.support.in_memory import InMemory, build_in_memory, settings
from tests.support.log_lines import LogLines


async def served(token: str = "", latest: Sequence[str] = ()) -> tuple[InMemory, Any]:
    """Return a service in memory and a client of a dashboard over its jobs."""
    made = await build_in_memory(settings())
    app = QuartTrio("test", static_folder=None)
    add_dashboard(app, Hub(), Access(token), jobs=FoundJobs(made.queue.jobs, latest))
    return made, app.test_client()


HERE = {"headers": {"Host": "127.0.0.1"}, "scope_base": {"client": ("127.0.0.1", 1)}}


async def test_a_job_is_found_by_id_and_by_client(log_lines: LogLines) -> None:
    """As the API shows it, newest first; what nobody knows is an empty list."""
    made, client = await served()
    jobs = [NewJob("sleep", {"milliseconds": n}, "alice") for n in (1, 2)]
    await made.queue.jobs.submit(jobs)
    one = await (await client.get(f"/jobs?id={jobs[0].id}", **HERE)).get_json()
    assert [(job["id"], job["status"]) for job in one["jobs"]] == [(jobs[0].id, "PENDING")]
    both = await (await client.get("/jobs?client=alice", **HERE)).get_json()
    assert [job["id"] for job in both["jobs"]] == [jobs[1].id, jobs[0].id]
    for query in ("id=none", "client=bob", "client=a%20b", ""):
        assert await (await client.get(f"/jobs?{query}", **HERE)).get_json() == {"jobs": []}


async def test_latest_jobs_of_all_clients(log_lines: LogLines) -> None:
    """The latest accepted come first, whoever submitted them; expired ones are left out."""
    latest: list[str] = []
    made, client = await served(latest=latest)
    assert await (await client.get("/jobs?latest=true", **HERE)).get_json() == {"jobs": []}
    jobs = [NewJob("sleep", {"milliseconds": 1}, name) for name in ("alice", "bob")]
    await made.queue.jobs.submit(jobs)
    latest += [jobs[0].id, "expired", jobs[1].id]
    found = await (await client.get("/jobs?latest=true", **HERE)).get_json()
    assert [job["id"] for job in found["jobs"]] == [jobs[1].id, jobs[0].id]


async def test_a_job_is_cancelled_by_a_click_and_logged(log_lines: LogLines) -> None:
    """Once; a job that has ended refuses, and one that is unknown is said so."""
    made, client = await served()
    job = NewJob("sleep", {"milliseconds": 1}, "alice")
    await made.queue.jobs.submit([job])
    answers = [await client.post(f"/jobs/{job.id}/cancel", json={}, **HERE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert (await client.post("/jobs/none/retry", json={}, **HERE)).status_code == 409
    used = [(line["control"], line["value"]) for line in log_lines.of("control_used")]
    assert used == [("job_cancel", job.id)]
    (found,) = await made.queue.jobs.get([job.id])
    assert found is not None
    assert found.status == "cancelled"


@pytest.mark.parametrize("path", ["/jobs/x/retry", "/jobs/x/cancel"])
async def test_strangers_change_nothing(path: str, log_lines: LogLines) -> None:
    """Neither without JSON, nor from elsewhere, nor without the token."""
    _, client = await served()
    assert (await client.post(path, **HERE)).status_code == 403
    elsewhere = {**HERE, "scope_base": {"client": ("10.0.0.7", 1)}}
    assert (await client.post(path, json={}, **elsewhere)).status_code == 403
    _, guarded = await served("correct-horse")
    assert (await guarded.post(path, json={}, **HERE)).status_code == 403
    assert (await guarded.get("/jobs?id=x", **HERE)).status_code == 401


async def test_without_redis_it_says_so(log_lines: LogLines) -> None:
    """503 with the reason."""
    made, client = await served()
    made.redis.go_away("connection refused")
    answer = await client.get("/jobs?id=x", **HERE)
    assert answer.status_code == 503
    assert "refused" in (await answer.get_json())["error"]
