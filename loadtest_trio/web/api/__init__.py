"""The job API: a plain ASGI application over the job store."""

from loadtest_trio.web.api.app import ApiOptions, JobApi
from loadtest_trio.web.api.results import JobArchive
from loadtest_trio.web.api.service import ApiService

__all__ = ["ApiOptions", "ApiService", "JobApi", "JobArchive"]
