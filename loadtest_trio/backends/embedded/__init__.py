"""Local Redis and S3 servers for a first run and for tests; started, watched and removed by this process."""

from loadtest_trio.backends.embedded.backends import EmbeddedBackends
from loadtest_trio.backends.embedded.errors import EmbeddedUnavailableError
from loadtest_trio.backends.embedded.redis_server import RedisServer
from loadtest_trio.backends.embedded.s3_server import S3Server

__all__ = ["EmbeddedBackends", "EmbeddedUnavailableError", "RedisServer", "S3Server"]
