"""Peer: asyncio + obstore (S3 in Rust) + redis.asyncio, one BRPOP per message."""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported"

import asyncio
import os
from typing import Any

import obstore
import redis.asyncio
from obstore.store import S3Store

from benchmarks.peers.common import Job, Tally, create_payload, edit, read_message


async def read(store: Any, key: str) -> bytes:
    """GET a complete object."""
    response = await obstore.get_async(store, key)
    return bytes(await response.bytes_async())


async def handle(store: Any, message: dict[str, Any]) -> None:
    """Process one message."""
    key = message["key"]
    match message["operation"]:
        case "READ":
            response = await obstore.get_async(store, key)
            await response.bytes_async()
        case "UPDATE":
            await obstore.put_async(store, key, edit(await read(store, key)), use_multipart=False)
        case "CREATE":
            payload = create_payload(message["params"]["uuids"])
            await obstore.put_async(store, key, payload, use_multipart=False)
        case "DELETE":
            await obstore.delete_async(store, key)


async def work(job: Job, queue: Any, store: Any, tally: Tally) -> None:
    """Pop and process messages one at a time until all are claimed."""
    while tally.claimed < job.messages:
        popped = await queue.brpop(job.queue, timeout=1)
        if popped is None:
            continue
        tally.claimed += 1
        message = read_message(popped[1])
        try:
            await handle(store, message)
        except Exception as error:
            tally.failed += 1
            print(f"{message['operation']} {message['key']}: {error!r}", flush=True)
        else:
            tally.done[message["operation"]] += 1


def open_store(job: Job) -> Any:
    """Return the bucket as an obstore store (path style, credentials from the environment)."""
    return S3Store(
        job.bucket,
        endpoint=job.s3_endpoint,
        virtual_hosted_style_request=False,
        unsigned_payload=True,
        client_options={"allow_http": True},
    )


async def main() -> None:
    """Run the workers."""
    job, tally = Job(), Tally()
    store = open_store(job)
    async with redis.asyncio.Redis.from_url(job.redis_endpoint) as queue:
        await asyncio.gather(*(work(job, queue, store, tally) for _ in range(job.concurrency)))
    tally.print()


if __name__ == "__main__":
    asyncio.run(main())
    os._exit(0)  # its threads abort some interpreters at exit
