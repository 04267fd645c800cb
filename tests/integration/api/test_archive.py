"""``JOB_ARCHIVE=s3``: finished jobs outlive their records."""

import trio

from tests.integration.api.conftest import Api, Open

EXPIRED_SECONDS = 1.3


async def archived(api: Api, job_id: str) -> None:
    """Wait until a job is in the archive, and its record has expired."""
    with trio.fail_after(5):
        while f"loadtest/jobs/archive/{job_id}" not in api.bucket.objects:  # noqa: ASYNC110
            await trio.sleep(0.02)
    await trio.sleep(EXPIRED_SECONDS)


async def test_expired_record_is_read_back_and_cached(open_api: Open) -> None:
    """The archive answers once; then Redis has the record again, and the statistics tell."""
    async with open_api(JOB_TTL_SECONDS=1, JOB_ARCHIVE="s3") as api:
        job = await api.submit("factorial", n=12)
        before = await api.ended(job)
        await archived(api, job)
        for _ in range(2):
            after = (await api.client.get(f"/api/jobs/{job}")).json()
            assert (after["status"], after["type"], after["clientId"]) == ("COMPLETED", "factorial", "c")
            assert abs(after["submittedAt"] - before["submittedAt"]) < 60
            assert (await api.client.get(f"/api/jobs/{job}/result")).text == "479001600"
        cache = (await api.client.get("/api/jobs/stats")).json()["cache"]
        assert cache["misses"] == 1
        assert cache["hits"] >= 3


async def test_archived_job_tells_whether_it_was_ordered(open_api: Open) -> None:
    """Its record in Redis said so, and the archive says the same."""
    async with open_api(JOB_TTL_SECONDS=1, JOB_ARCHIVE="s3") as api:
        for ordered in (True, False):
            body = {"type": "sleep", "payload": {"ms": 0}, "ordered": ordered}
            answer = await api.client.post("/api/jobs", json=body, headers={"X-Client-Id": "c"})
            job = answer.json()["id"]
            assert (await api.ended(job))["ordered"] is ordered
            await archived(api, job)
            assert (await api.client.get(f"/api/jobs/{job}")).json()["ordered"] is ordered
        assert (await api.client.get("/api/jobs/stats")).json()["cache"]["misses"] == 2


async def test_large_result_of_an_archived_job_is_found(open_api: Open) -> None:
    """The record in the archive names the object with the result."""
    async with open_api(JOB_TTL_SECONDS=1, JOB_ARCHIVE="s3", JOB_INLINE_RESULT_BYTES=2) as api:
        job = await api.submit("factorial", n=12)
        await api.ended(job)
        await archived(api, job)
        assert (await api.client.get(f"/api/jobs/{job}/result")).text == "479001600"


async def test_cancelled_job_is_archived_too(open_api: Open) -> None:
    """Jobs that end without a result are copied out of their records."""
    async with (
        open_api(JOB_TTL_SECONDS=1, JOB_ARCHIVE="s3", works=False) as api,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(api.service.archiver.run)
        job = await api.submit()
        await api.client.delete(f"/api/jobs/{job}")
        await archived(api, job)
        assert (await api.client.get(f"/api/jobs/{job}")).json()["status"] == "CANCELLED"
        nursery.cancel_scope.cancel()


async def test_without_the_archive_an_expired_record_is_unknown(open_api: Open) -> None:
    """By default nothing is kept."""
    async with open_api(JOB_TTL_SECONDS=1) as api:
        job = await api.submit("factorial", n=12)
        await api.ended(job)
        await trio.sleep(EXPIRED_SECONDS)
        assert (await api.client.get(f"/api/jobs/{job}")).status_code == 404
        assert api.bucket.objects == {}
