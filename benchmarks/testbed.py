"""The testbed that all rounds share: servers, prepared work, and the environment of a contender."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from benchmarks.contenders import ROOT, Contender
from benchmarks.redis_server import RedisServer
from benchmarks.workload import initial_keys, initial_objects

BUCKET, QUEUE = "bench", "bench"
PATIENCE = 300.0


class Endpoint(Protocol):
    """An S3 server for benchmarks: `endpoint.NginxS3`, `seaweed.SeaweedS3` or `stub_s3.StubS3`.

    Attributes:
        url: Its address over HTTP.
        tls_url: Its address over HTTPS, or "".
        ca_file: The certificate authority to trust, or None.
        credentials: The access key id and its secret.
    """

    url: str
    tls_url: str
    ca_file: Path | None
    credentials: tuple[str, str]

    def __enter__(self) -> Self:
        """Start the server."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        ...

    def reset(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Make the bucket hold exactly these objects; create it if needed."""
        ...

    def contents(self, bucket: str) -> Iterator[tuple[str, bytes]]:
        """Yield every key of the bucket with its body."""
        ...


class Testbed:
    """The servers and the prepared work of all rounds.

    Args:
        endpoint: The S3 server.
        redis: The queue's server.
        tls: Whether contenders use HTTPS.
        messages: Number of messages for the fastest contenders.
    """

    def __init__(self, endpoint: Endpoint, redis: RedisServer, *, tls: bool, messages: int) -> None:
        self.endpoint, self.redis, self.tls, self.messages = endpoint, redis, tls, messages
        self.keys = initial_keys(messages)
        self.objects = list(initial_objects(messages))

    def environment(self, contender: Contender, messages: int) -> dict[str, str]:
        """Return the complete environment of a contender."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        authority = {"SSL_CERT_FILE": str(self.endpoint.ca_file), "AWS_CA_BUNDLE": str(self.endpoint.ca_file)}
        return {
            **kept,
            **(authority if self.tls else {}),
            "PYTHONPATH": str(ROOT),
            "REDIS_ENDPOINT": self.redis.endpoint,
            "S3_ENDPOINT_URL": self.endpoint.tls_url if self.tls else self.endpoint.url,
            "S3_BUCKET": BUCKET,
            "QUEUE_NAME": QUEUE,
            "MESSAGES": str(messages),
            "WORKER_CONCURRENCY": str(contender.concurrency),
            "AWS_ACCESS_KEY_ID": self.endpoint.credentials[0],
            "AWS_SECRET_ACCESS_KEY": self.endpoint.credentials[1],
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOG_FORMAT": "json",
            "LOG_INTERVAL_SECONDS": "1",
            "HEALTH_PORT": "0",
            "RUN_DURATION_SECONDS": str(PATIENCE),
            **contender.env,
        }
