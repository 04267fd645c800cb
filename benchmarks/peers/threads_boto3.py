"""Peer: threads + boto3 + redis-py, one BRPOP per message."""
# mypy: disable-error-code="import-not-found,import-untyped,no-any-unimported"

import threading
from typing import Any

import boto3
import redis
from botocore.config import Config

from benchmarks.peers.common import Job, Tally, create_payload, edit, read_message


def handle(s3: Any, bucket: str, message: dict[str, Any]) -> None:
    """Process one message."""
    key = message["key"]
    match message["operation"]:
        case "READ":
            s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        case "UPDATE":
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=bucket, Key=key, Body=edit(body))
        case "CREATE":
            s3.put_object(Bucket=bucket, Key=key, Body=create_payload(message["params"]["uuids"]))
        case "DELETE":
            s3.delete_object(Bucket=bucket, Key=key)


def work(job: Job, queue: Any, s3: Any, tally: Tally, lock: threading.Lock) -> None:
    """Pop and process messages one at a time until all are claimed."""
    while tally.claimed < job.messages:
        popped = queue.brpop([job.queue], timeout=1)
        if popped is None:
            continue
        with lock:
            tally.claimed += 1
        message = read_message(popped[1])
        try:
            handle(s3, job.bucket, message)
        except Exception as error:
            with lock:
                tally.failed += 1
            print(f"{message['operation']} {message['key']}: {error!r}", flush=True)
        else:
            with lock:
                tally.done[message["operation"]] += 1


def main() -> None:
    """Run the workers."""
    job, tally, lock = Job(), Tally(), threading.Lock()
    config = Config(
        max_pool_connections=job.concurrency,
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    s3 = boto3.client("s3", endpoint_url=job.s3_endpoint, config=config)
    queue = redis.Redis.from_url(job.redis_endpoint)
    arguments = (job, queue, s3, tally, lock)
    threads = [threading.Thread(target=work, args=arguments) for _ in range(job.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.print()


if __name__ == "__main__":
    main()
