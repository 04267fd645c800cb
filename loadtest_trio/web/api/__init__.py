"""The job API: a plain ASGI application over the job store."""

from loadtest_trio.web.api.app import JobApi
from loadtest_trio.web.api.results import JobArchive

__all__ = ["JobApi", "JobArchive"]
