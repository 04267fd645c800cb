"""Redis and the fast S3 endpoint on the servers' core, for a service on the other core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contenders import ROOT
from benchmarks.endpoint import NginxS3
from benchmarks.process import SERVER_CORE, pin
from benchmarks.redis_server import RedisServer

_BUCKET = "bench"
_KEPT = ("PATH", "HOME", "LANG", "TERM", "TMPDIR")


@contextmanager
def fast_backends(delay: float = 0.0) -> Iterator[dict[str, str]]:
    """Run both servers, and pin this process to their core.

    Args:
        delay: Seconds that every S3 request waits at the endpoint.

    Yields:
        A complete environment for `python -m loadtest_trio` that names the backends.

    Raises:
        Unavailable: A server is not installed.
    """
    with NginxS3(delay=delay) as s3, RedisServer() as redis:
        pin(SERVER_CORE)
        s3.reset(_BUCKET, [])
        yield {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "REDIS_ENDPOINT": redis.endpoint,
            "S3_ENDPOINT_URL": s3.url,
            "S3_BUCKET": _BUCKET,
            "AWS_ACCESS_KEY_ID": s3.credentials[0],
            "AWS_SECRET_ACCESS_KEY": s3.credentials[1],
            "AWS_EC2_METADATA_DISABLED": "true",
            "HEALTH_PORT": "0",
        }
