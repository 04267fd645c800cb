"""The requests of briefs 002 and 003 as their texts show them."""

import hashlib

from tests.integration.api.conftest import Open


async def test_enqueue_and_pull_as_brief_002_shows(open_api: Open) -> None:
    """Numeric ids; the chain of hashes; each result handed out once, and again for the same key."""
    async with open_api() as api:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await api.client.put("/enqueue?iterations=10", content="data=Hello", headers=form)
        assert answer.status_code == 200
        number = answer.json()["id"]
        assert isinstance(number, int)
        await api.ended(str(number))
        headers = {"Idempotency-Key": "pull-1"}
        pulled = await api.client.post("/pullCompleted?top=2", headers=headers)
        (work,) = pulled.json()
        assert work["id"] == number
        assert len(bytes.fromhex(work["result"])) == hashlib.sha512().digest_size
        assert (await api.client.post("/pullCompleted?top=2", headers=headers)).json() == [work]
        assert (await api.client.post("/pullCompleted?top=2")).json() == []


async def test_enqueue_refuses_what_it_cannot_hash(open_api: Open) -> None:
    """Bad iterations, no data."""
    async with open_api() as api:
        for query, body in [("", "data=x"), ("?iterations=x", "data=x"), ("?iterations=1", "x")]:
            assert (await api.client.put(f"/enqueue{query}", content=body)).status_code == 400
        assert (await api.client.post("/pullCompleted?top=0")).status_code == 400


async def test_task_as_brief_003_shows(open_api: Open) -> None:
    """Submission, status until SUCCEEDED or FAILED, then the result."""
    async with open_api() as api:
        submitted = await api.client.post("/tasks/submissions", json={"type": "factorial", "n": 20})
        assert submitted.status_code == 202
        await api.ended(submitted.json()["id"])
        task = (await api.client.get(submitted.headers["Location"])).json()
        assert task["status"] == "SUCCEEDED"
        result = await api.client.get(f"/tasks/{task['id']}")
        assert (result.status_code, result.text) == (200, "2432902008176640000")


async def test_failed_task_has_its_error(open_api: Open) -> None:
    """FAILED is an answer of 200 whose header and body say so."""
    async with open_api() as api:
        body = {"type": "http-fetch", "url": "http://127.0.0.1:1/"}
        task = (await api.client.post("/tasks/submissions", json=body)).json()
        await api.ended(task["id"])
        assert (await api.client.get(f"/tasks/submissions/{task['id']}")).json()["status"] == "FAILED"
        result = await api.client.get(f"/tasks/{task['id']}")
        assert (result.status_code, result.headers["X-Task-Status"]) == (200, "FAILED")
        assert result.json()["error"]
