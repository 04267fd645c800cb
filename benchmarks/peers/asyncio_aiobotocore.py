"""Peer: asyncio + aiobotocore + redis.asyncio, one BRPOP per message."""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported"

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import redis.asyncio
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.peers.common import Job, Tally, create_payload, edit, read_message


async def read(s3: Any, bucket: str, key: str) -> bytes:
    """GET a complete object."""
    response = await s3.get_object(Bucket=bucket, Key=key)
    async with response["Body"] as stream:
        body: bytes = await stream.read()
    return body


async def handle(s3: Any, bucket: str, message: dict[str, Any]) -> None:
    """Process one message."""
    key = message["key"]
    match message["operation"]:
        case "READ":
            await read(s3, bucket, key)
        case "UPDATE":
            await s3.put_object(Bucket=bucket, Key=key, Body=edit(await read(s3, bucket, key)))
        case "CREATE":
            await s3.put_object(Bucket=bucket, Key=key, Body=create_payload(message["params"]["uuids"]))
        case "DELETE":
            await s3.delete_object(Bucket=bucket, Key=key)


async def work(job: Job, queue: Any, s3: Any, tally: Tally) -> None:
    """Pop and process messages one at a time until all are claimed."""
    while tally.claimed < job.messages:
        popped = await queue.brpop(job.queue, timeout=1)
        if popped is None:
            continue
        tally.claimed += 1
        message = read_message(popped[1])
        try:
            await handle(s3, job.bucket, message)
        except Exception as error:
            tally.failed += 1
            print(f"{message['operation']} {message['key']}: {error!r}", flush=True)
        else:
            tally.done[message["operation"]] += 1


async def main() -> None:
    """Run the workers."""
    job, tally = Job(), Tally()
    config = AioConfig(
        max_pool_connections=job.concurrency,
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with AsyncExitStack() as stack:
        client = get_session().create_client("s3", endpoint_url=job.s3_endpoint, config=config)
        s3 = await stack.enter_async_context(client)
        queue = await stack.enter_async_context(redis.asyncio.Redis.from_url(job.redis_endpoint))
        await asyncio.gather(*(work(job, queue, s3, tally) for _ in range(job.concurrency)))
    tally.print()


if __name__ == "__main__":
    asyncio.run(main())
