"""The backends of a soak test."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import attrs

from benchmarks.contenders import ROOT
from benchmarks.fast_backends import fast_backends
from loadtest_trio.backends.embedded import EmbeddedBackends

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@attrs.frozen
class Backends:
    """A Redis and an S3 server.

    Attributes:
        title: Their name in the report.
        start: Runs them and yields a complete environment for the service.
        apart: Whether they run on one core and the service on the other.
    """

    title: str
    start: Callable[[], AbstractContextManager[dict[str, str]]]
    apart: bool


@contextmanager
def _embedded() -> Iterator[dict[str, str]]:
    with EmbeddedBackends.start() as backends:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        yield {**kept, **backends.environment(), "PYTHONPATH": str(ROOT), "HEALTH_PORT": "0"}


CHOICES = {
    "embedded": Backends("embedded Redis and S3 on the same cores", _embedded, apart=False),
    "nginx": Backends("nginx as S3 and Redis on the other core", fast_backends, apart=True),
}
"""By the name of ``--backends``."""
