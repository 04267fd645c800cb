"""Peer of the job service: FastAPI under uvicorn, redis.asyncio and arq, as their documentation shows them.

`python -m benchmarks.peers.fastapi_arq api` serves ``POST /api/jobs`` and ``GET /api/jobs/{id}``; the same
with ``worker`` computes the jobs. Both processes use uvloop. Settings come from the environment: API_HOST,
API_PORT, REDIS_ENDPOINT, WORKER_CONCURRENCY, JOB_TTL_SECONDS.
"""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported,untyped-decorator"

import hashlib
import math
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import uvicorn
import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_ENDPOINT", "redis://127.0.0.1:6379"))
TTL_SECONDS = int(os.environ.get("JOB_TTL_SECONDS", "3600"))
CONCURRENCY = int(os.environ.get("WORKER_CONCURRENCY", "64"))


class FactorialPayload(BaseModel):
    """The payload of a factorial."""

    n: int = Field(ge=0, le=10_000)


class Sha512Payload(BaseModel):
    """The payload of a chain of SHA-512."""

    data: str
    iterations: int = Field(ge=1, le=10_000_000)


class Submission(BaseModel):
    """The body of POST /api/jobs."""

    type: Literal["factorial", "sha512"]
    payload: FactorialPayload | Sha512Payload


class Job(BaseModel):
    """A job as clients see it; also, field by field, its hash in Redis."""

    id: str
    type: str
    client_id: str
    status: str
    created_at: int
    ended_at: int | None = None
    result: str | None = None


def record_key(job_id: str) -> str:
    """Return the key of a job's record in Redis."""
    return f"job:{job_id}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one connection pool for all requests."""
    app.state.redis = await create_pool(REDIS)
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/api/jobs", status_code=202, response_model_exclude_none=True)
async def submit(submission: Submission, x_client_id: Annotated[str, Header()], response: Response) -> Job:
    """Write the record, then enqueue the job."""
    redis = app.state.redis
    job = Job(
        id=uuid.uuid4().hex,
        type=submission.type,
        client_id=x_client_id,
        status="queued",
        created_at=int(time.time()),
    )
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hset(record_key(job.id), mapping=job.model_dump(exclude_none=True))
        pipe.expire(record_key(job.id), TTL_SECONDS)
        await pipe.execute()
    await redis.enqueue_job(submission.type, job.id, submission.payload.model_dump(), _job_id=job.id)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job


@app.get("/api/jobs/{job_id}", response_model_exclude_none=True)
async def status(job_id: str) -> Job:
    """Return the record."""
    record = await app.state.redis.hgetall(record_key(job_id))
    if not record:
        raise HTTPException(404, "no such job")
    return Job.model_validate({name.decode(): value.decode() for name, value in record.items()})


async def factorial(context: dict[str, Any], job_id: str, payload: dict[str, Any]) -> None:
    """Compute n!."""
    await _start(context, job_id)
    await _finish(context, job_id, str(math.factorial(payload["n"])))


async def sha512(context: dict[str, Any], job_id: str, payload: dict[str, Any]) -> None:
    """Compute a chain of SHA-512, each link the digest of the link before."""
    await _start(context, job_id)
    digest = payload["data"].encode()
    for _ in range(payload["iterations"]):
        digest = hashlib.sha512(digest).digest()
    await _finish(context, job_id, digest.hex())


async def _start(context: dict[str, Any], job_id: str) -> None:
    await context["redis"].hset(record_key(job_id), "status", "running")


async def _finish(context: dict[str, Any], job_id: str, result: str) -> None:
    async with context["redis"].pipeline(transaction=False) as pipe:
        ended = {"status": "succeeded", "result": result, "ended_at": int(time.time())}
        pipe.hset(record_key(job_id), mapping=ended)
        pipe.expire(record_key(job_id), TTL_SECONDS)
        await pipe.execute()


async def work() -> None:
    """Compute jobs until the process is told to end.

    arq's defaults start at most 100 jobs every half second, 10 at a time, and keep results of their own.
    """
    worker = Worker(
        [factorial, sha512],
        redis_settings=REDIS,
        max_jobs=CONCURRENCY,
        poll_delay=0.02,
        queue_read_limit=4 * CONCURRENCY,
        keep_result=0,
        log_results=False,
    )
    await worker.async_run()


def main(role: str) -> None:
    """Run the API or the worker."""
    if role == "worker":
        uvloop.run(work())
    else:
        uvicorn.run(
            app,
            host=os.environ.get("API_HOST", "127.0.0.1"),
            port=int(os.environ.get("API_PORT", "8000")),
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_level="warning",
        )


if __name__ == "__main__":
    main(sys.argv[1])
