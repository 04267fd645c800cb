"""``/api/jobs``: submit, look, wait, result, cancel, retry, list, statistics."""

import math

import pytest
import trio

from tests.integration.api.conftest import Open

ALICE = {"X-Client-Id": "alice"}


async def test_job_goes_from_submission_to_result(open_api: Open) -> None:
    """202 with a place to look, then COMPLETED, then the exact factorial."""
    async with open_api() as api:
        body = {"type": "factorial", "payload": {"n": 30}}
        accepted = await api.client.post("/api/jobs", json=body, headers=ALICE)
        assert accepted.status_code == 202
        assert accepted.headers["Location"] == f"/api/jobs/{accepted.json()['id']}"
        assert int(accepted.headers["Retry-After"]) >= 1
        assert accepted.json()["status"] in ("PENDING", "RUNNING")
        job = await api.ended(accepted.json()["id"])
        assert (job["status"], job["attempts"], job["clientId"]) == ("COMPLETED", 1, "alice")
        assert job["submittedAt"] <= job["startedAt"] <= job["endedAt"]
        result = await api.client.get(f"/api/jobs/{job['id']}/result")
        assert (result.text, result.headers["Content-Type"]) == (
            str(math.factorial(30)),
            "text/plain; charset=utf-8",
        )


async def test_latest_jobs_are_remembered(open_api: Open) -> None:
    """The process keeps the ids of the last 20 jobs that it accepted; repeats do not count."""
    async with open_api() as api:
        assert api.service.api is not None
        ids = [await api.submit(client=f"c{n % 2}") for n in range(22)]
        for _ in range(2):
            body, headers = {"type": "sleep", "payload": {"ms": 0}}, ALICE | {"Idempotency-Key": "k"}
            answer = await api.client.post("/api/jobs", json=body, headers=headers)
        assert list(api.service.api.app.latest) == [*ids[3:], answer.json()["id"]]


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        ({}, '{"type": "sleep"}', 400, "X-Client-Id"),
        ({"X-Client-Id": "a b"}, '{"type": "sleep"}', 400, "X-Client-Id"),
        (ALICE, "no json", 400, "JSON"),
        (ALICE, "[]", 400, "object"),
        (ALICE, '{"payload": {}}', 422, "type must be one of factorial, sha512, http-fetch, sleep"),
        (ALICE, '{"type": "READ", "key": "k"}', 422, "type must be one of"),
        (ALICE, '{"type": "sleep", "payload": {"ms": -1}}', 422, "sleep: ms must be"),
        (ALICE, '{"type": "sleep", "payload": 7}', 422, "payload"),
        (ALICE, '{"type": "sleep", "payload": {"ms": 1}, "ordered": 1}', 422, "ordered"),
    ],
)
async def test_bad_submission_is_a_problem_that_says_why(
    open_api: Open, headers: dict[str, str], body: str, status: int, words: str
) -> None:
    """RFC 9457 documents, and nothing reaches the queue."""
    async with open_api() as api:
        answer = await api.client.post("/api/jobs", content=body, headers=headers)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert words in answer.json()["detail"]
        assert (await api.service.redis.snapshot()).created == 0


async def test_status_is_not_sent_twice(open_api: Open) -> None:
    """A weak entity tag gives 304 until the job changes; HEAD has no body."""
    async with open_api(works=False) as api:
        job = await api.submit()
        first = await api.client.get(f"/api/jobs/{job}")
        tag = first.headers["ETag"]
        assert tag.startswith('W/"')
        again = await api.client.get(f"/api/jobs/{job}", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        for known in (tag.removeprefix("W/"), f'"a", {tag}', "*"):  # weak comparison (RFC 9110, 13.1.2)
            again = await api.client.get(f"/api/jobs/{job}", headers={"If-None-Match": known})
            assert (again.status_code, again.headers["ETag"]) == (304, tag)
        head = await api.client.head(f"/api/jobs/{job}")
        assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", tag)
        await api.client.delete(f"/api/jobs/{job}")
        changed = await api.client.get(f"/api/jobs/{job}", headers={"If-None-Match": tag})
        assert changed.status_code == 200
        assert "Retry-After" not in changed.headers


@pytest.mark.parametrize("prefer", [True, False])
async def test_long_poll_answers_when_the_job_changes(open_api: Open, prefer: bool) -> None:
    """`wait` and `Prefer: wait` answer at the change, and otherwise after their time."""
    async with open_api(works=False) as api:
        job = await api.submit()
        headers = {"Prefer": "wait=10"} if prefer else {}
        url = f"/api/jobs/{job}" + ("" if prefer else "?wait=10")

        async def cancel() -> None:
            await trio.sleep(0.5)
            await api.client.delete(f"/api/jobs/{job}")

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            answer = await api.client.get(url, headers=headers)
        assert answer.json()["status"] == "CANCELLED"
        assert 0.5 <= trio.current_time() - began < 5
        other = await api.submit()
        began = trio.current_time()
        answer = await api.client.get(f"/api/jobs/{other}?wait=0.5")
        assert answer.json()["status"] == "PENDING"
        assert trio.current_time() - began >= 0.5


async def test_unknown_job_is_404_everywhere(open_api: Open) -> None:
    """Whatever is asked of it."""
    async with open_api() as api:
        for method, path in [
            ("GET", ""),
            ("HEAD", ""),
            ("GET", "/result"),
            ("DELETE", ""),
            ("POST", "/retry"),
        ]:
            answer = await api.client.request(method, f"/api/jobs/0123456789{path}")
            assert answer.status_code == 404, (method, path)


async def test_running_job_is_cancelled_and_stops(open_api: Open) -> None:
    """Its worker is free again within seconds, and its status is final."""
    async with open_api(WORKER_CONCURRENCY=1) as api:
        job = await api.submit("sleep", ms=30_000)
        await api.reaches(job, "RUNNING")
        assert (await api.client.delete(f"/api/jobs/{job}")).json()["status"] == "CANCELLED"
        assert (await api.ended(await api.submit("sleep", client="other", ms=1)))["status"] == "COMPLETED"
        assert (await api.client.delete(f"/api/jobs/{job}")).status_code == 409
        result = await api.client.get(f"/api/jobs/{job}/result")
        assert (result.status_code, result.json()["jobStatus"]) == (409, "CANCELLED")


async def test_first_retry_delay_is_a_setting(open_api: Open) -> None:
    """With a base of 0 eight retries take moments; with the default they take four minutes on average."""
    async with open_api(JOB_RETRY_BASE_SECONDS=0, MAX_RETRIES=8, HTTP_FETCH_ALLOW="127.0.0.1") as api:
        dead = await api.ended(await api.submit("http-fetch", url="http://127.0.0.1:1/"))
        assert (dead["status"], dead["attempts"]) == ("DEAD_LETTER", 9)


async def test_dead_job_is_retried_by_hand(open_api: Open) -> None:
    """A page that may not be fetched is dead at once; retried, it dies again, its attempts counted anew."""
    async with open_api() as api:
        job = await api.submit("http-fetch", url="http://127.0.0.1:1/")
        dead = await api.ended(job)
        assert (dead["status"], dead["attempts"]) == ("DEAD_LETTER", 1)
        assert "HTTP_FETCH_ALLOW" in dead["error"]
        retried = await api.client.post(f"/api/jobs/{job}/retry")
        assert retried.status_code == 202
        assert (await api.ended(job))["status"] == "DEAD_LETTER"
        done = await api.submit()
        await api.ended(done)
        assert (await api.client.post(f"/api/jobs/{done}/retry")).status_code == 409


async def test_repeated_submission_gives_the_first_job(open_api: Open) -> None:
    """The same Idempotency-Key and work: one job; the same key for other work: 422."""
    async with open_api() as api:
        headers = {**ALICE, "Idempotency-Key": "k1"}
        body = {"type": "sleep", "payload": {"ms": 1}}
        first, second = [await api.client.post("/api/jobs", json=body, headers=headers) for _ in range(2)]
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["id"] == second.json()["id"]
        other = {"type": "sleep", "payload": {"ms": 2}}
        assert (await api.client.post("/api/jobs", json=other, headers=headers)).status_code == 422
        assert (await api.service.redis.snapshot()).created == 1


async def test_rate_limit_says_when_to_come_back(open_api: Open) -> None:
    """Every answer tells what is left; beyond the limit it is 429 with Retry-After, for this client only."""
    async with open_api(JOB_RATE_LIMIT_PER_MINUTE=3) as api:
        body = {"type": "sleep", "payload": {"ms": 0}}
        answers = [await api.client.post("/api/jobs", json=body, headers=ALICE) for _ in range(4)]
        assert [each.status_code for each in answers] == [202, 202, 202, 429]
        assert [each.headers["X-RateLimit-Remaining"] for each in answers] == ["2", "1", "0", "0"]
        refused = answers[-1]
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert refused.headers["X-RateLimit-Limit"] == "3"
        assert refused.headers["RateLimit-Policy"] == '"client";q=3;w=60'
        bob = await api.client.post("/api/jobs", json=body, headers={"X-Client-Id": "bob"})
        assert bob.status_code == 202


async def test_batch_answers_each_job_by_itself(open_api: Open) -> None:
    """One bad job refuses only itself."""
    async with open_api() as api:
        jobs = [
            {"type": "sleep", "payload": {"ms": 1}},
            {"type": "fly"},
            {"type": "factorial", "payload": {"n": 3}},
        ]
        answer = await api.client.post("/api/jobs/batch", json={"jobs": jobs}, headers=ALICE)
        assert answer.status_code == 202
        assert [each["status"] for each in answer.json()["jobs"]] == [202, 422, 202]
        last = answer.json()["jobs"][2]["job"]["id"]
        assert (await api.ended(last))["status"] == "COMPLETED"
        assert (await api.client.get(f"/api/jobs/{last}/result")).text == "6"


async def test_jobs_of_a_client_are_listed_newest_first(open_api: Open) -> None:
    """In pages, by status, and nobody else's."""
    async with open_api() as api:
        ids = [await api.submit(client="alice") for _ in range(5)]
        await api.submit(client="bob")
        for job in ids:
            await api.ended(job)
        first = (await api.client.get("/api/jobs?clientId=alice&page_size=3")).json()
        rest = await api.client.get(
            "/api/jobs", params={"clientId": "alice", "page_size": 3, "page_token": first["nextPageToken"]}
        )
        assert [job["id"] for job in first["jobs"] + rest.json()["jobs"]] == ids[::-1]
        assert rest.json()["nextPageToken"] is None
        none = await api.client.get("/api/jobs?clientId=alice&status=DEAD_LETTER")
        assert none.json()["jobs"] == []
        for token in ("nonsense", "0", "%00"):  # never taken for the end of the list
            answer = await api.client.get(f"/api/jobs?clientId=alice&page_token={token}")
            assert (answer.status_code, "page_token" in answer.json()["detail"]) == (400, True)
        assert (await api.client.get("/api/jobs")).status_code == 400
        assert (await api.client.get("/api/jobs?clientId=alice&status=LOST")).status_code == 400


async def test_pages_are_stable_while_jobs_are_added(open_api: Open) -> None:
    """A walk over the pages meets every earlier job once, whatever is submitted meanwhile."""
    async with open_api(works=False) as api:
        ids = [await api.submit(client="alice") for _ in range(7)]
        met: list[str] = []
        parameters = {"clientId": "alice", "page_size": "3"}
        while True:
            page = (await api.client.get("/api/jobs", params=parameters)).json()
            met += [job["id"] for job in page["jobs"]]
            if page["nextPageToken"] is None:
                break
            parameters["page_token"] = page["nextPageToken"]
            await api.submit(client="alice")
        assert met == ids[::-1]


async def test_large_result_is_kept_in_s3(open_api: Open) -> None:
    """What is too large for the record is an object under the prefix before the job counts as done."""
    async with open_api(JOB_INLINE_RESULT_BYTES=10) as api:
        job = await api.submit("factorial", n=1000)
        await api.ended(job)
        assert list(api.bucket.objects) == [f"loadtest/jobs/results/{job}"]
        result = await api.client.get(f"/api/jobs/{job}/result")
        assert result.text == str(math.factorial(1000))


async def test_statistics_and_ledger_agree(open_api: Open) -> None:
    """Counts by status and type; created is the sum of all places."""
    async with open_api() as api:
        for job in [await api.submit(), await api.submit("factorial", n=5)]:
            await api.ended(job)
        stats = (await api.client.get("/api/jobs/stats")).json()
        assert stats["byStatus"]["COMPLETED"] == 2
        assert stats["byType"]["factorial"]["succeeded"] == 1
        queue = stats["queue"]
        assert queue["created"] == queue["processed"] == 2
        assert (await api.client.get("/api/jobs/health")).json()["ready"] is True


async def test_draining_service_refuses_new_work_only(open_api: Open) -> None:
    """Readiness and submissions say 503 with Retry-After at once; statuses are answered."""
    async with open_api() as api:
        job = await api.submit()
        await api.ended(job)
        assert api.service.api
        api.service.api.drain(0)
        refused = await api.client.post("/api/jobs", json={"type": "sleep"}, headers=ALICE)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert (await api.client.get("/api/jobs/health")).status_code == 503
        assert (await api.client.get(f"/api/jobs/{job}")).status_code == 200


async def test_load_balancer_has_time_to_notice_that_the_service_drains(open_api: Open) -> None:
    """Readiness says 503 at once, and submissions only after the time to drain; a second signal ends it."""
    async with open_api() as api:
        assert api.service.api
        api.service.api.drain(30)
        assert (await api.client.get("/api/jobs/health")).status_code == 503
        await api.submit()
        api.service.api.drain(0)
        refused = await api.client.post("/api/jobs", json={"type": "sleep"}, headers=ALICE)
        assert refused.status_code == 503
        with trio.fail_after(1):
            await api.service.api.drained()


async def test_token_guards_all_but_health_and_the_document(open_api: Open) -> None:
    """Without it 401; with it everything."""
    async with open_api(API_TOKEN="correct-horse") as api:
        for path in ("/api/jobs/stats", "/api/jobs/x", "/tasks/x"):
            assert (await api.client.get(path)).status_code == 401
        wrong = await api.client.get("/api/jobs/stats", headers={"Authorization": "Bearer battery"})
        assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, "Bearer")
        right = await api.client.get("/api/jobs/stats", headers={"Authorization": "Bearer correct-horse"})
        assert right.status_code == 200
        for path in ("/api/jobs/health", "/openapi.json", "/"):
            assert (await api.client.get(path)).status_code == 200


async def test_full_queue_answers_503(open_api: Open) -> None:
    """Beyond MAX_QUEUE_LENGTH nothing is taken on."""
    async with open_api(works=False, MAX_QUEUE_LENGTH=2) as api:
        await api.submit(client="a")
        await api.submit(client="b")
        body = {"type": "sleep", "payload": {"ms": 0}}
        refused = await api.client.post("/api/jobs", json=body, headers=ALICE)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
