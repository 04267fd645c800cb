"""What a status costs where it is found: in Redis, in the archive on S3, and in Redis again.

Brief 004 caches its database in Redis for 15 minutes and reports the response times of a hit and of a miss.
Here Redis holds the records itself; those that have expired are read back from S3 and cached for as long.
S3 is a SeaweedFS, and one connection asks for one job after the other.
"""

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import attrs

from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.filling import wait_until_finished
from benchmarks.jobs.services import JobService
from benchmarks.output import RunInfo, report_progress, table, write
from benchmarks.seaweed import SeaweedS3

JOBS = 1000
BUCKET = "bench"
_TTL_SECONDS = 10
_PATIENCE_SECONDS = 60.0
_BATCH = 100


@attrs.frozen
class Place:
    """One pass over all jobs.

    Attributes:
        name: Where their records were found.
        times_ms: Response times.
        hits: Records that the service found in Redis.
        misses: Records that it read from the archive.
    """

    name: str
    times_ms: list[float]
    hits: int
    misses: int

    def row(self) -> list[str]:
        """Return the cells of a table."""
        cuts = statistics.quantiles(self.times_ms, n=100)
        figures = [statistics.fmean(self.times_ms), cuts[49], cuts[94], cuts[98]]
        return [self.name, *(f"{value:.2f}" for value in figures), f"{self.hits:,}", f"{self.misses:,}"]


class Client:
    """One connection to the API.

    Args:
        deployment: The running service.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._connection = http.client.HTTPConnection(
            deployment.url.removeprefix("http://"), timeout=_PATIENCE_SECONDS
        )

    def call(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """Send a request and return the JSON of its answer.

        Raises:
            ServiceError: The answer has another status.
        """
        headers = {"X-Client-Id": "bench", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != expect:
            raise ServiceError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def submit(self, count: int) -> list[str]:
        """Submit so many jobs and return their ids."""
        job = {"type": "factorial", "payload": {"n": 69}, "ordered": False}
        return [
            answer["job"]["id"] if "job" in answer else answer["id"]
            for _ in range(count // _BATCH)
            for answer in self.call("POST", "/api/jobs/batch", {"jobs": [job] * _BATCH}, expect=202)["jobs"]
        ]

    def look(self, name: str, ids: Sequence[str]) -> Place:
        """Ask for every job once."""
        before, times = self._cache(), []
        for job_id in ids:
            began = time.perf_counter()
            self.call("GET", f"/api/jobs/{job_id}")
            times.append((time.perf_counter() - began) * 1e3)
        after = self._cache()
        return Place(name, times, after["hits"] - before["hits"], after["misses"] - before["misses"])

    def _cache(self) -> dict[str, int]:
        cache: dict[str, int] = self.call("GET", "/api/jobs/stats")["cache"]
        return cache


def measure_cache(service: JobService, options: argparse.Namespace) -> str:
    """Measure, and write jobs-cache.json and jobs-cache.md.

    Args:
        service: Ours; no peer has an archive.
        options: From the command line: most, settings, results.

    Returns:
        The Markdown.

    Raises:
        Unavailable: SeaweedFS is not installed.
        ServiceError: A job was refused, did not end, or was not found.
    """
    count = min(JOBS, options.most) // _BATCH * _BATCH
    with SeaweedS3() as s3:
        s3.reset(BUCKET, [])
        settings = {
            "JOB_ARCHIVE": "s3",
            "JOB_TTL_SECONDS": str(_TTL_SECONDS),
            "S3_ENDPOINT_URL": s3.url,
            "S3_BUCKET": BUCKET,
            "AWS_ACCESS_KEY_ID": s3.credentials[0],
            "AWS_SECRET_ACCESS_KEY": s3.credentials[1],
        }
        with Deployment(service, settings | options.settings) as deployment:
            places = look_everywhere(deployment, count)
    info = RunInfo.now(1)
    text = render(places, info)
    write(
        options.results, "jobs-cache", text, attrs.asdict(info) | {"places": list(map(attrs.asdict, places))}
    )
    return text


def look_everywhere(deployment: Deployment, count: int) -> list[Place]:
    """Ask for jobs whose records are in Redis, have expired, and are cached again.

    Raises:
        ServiceError: A job was refused, did not end, or was not found.
    """
    client = Client(deployment)
    ids = client.submit(count)
    wait_until_finished(deployment, _PATIENCE_SECONDS)
    places = [client.look("Redis, not yet expired", ids)]
    report_progress(f"{count:,} jobs are done; waiting {_TTL_SECONDS} s for their records to expire")
    time.sleep(_TTL_SECONDS + 1)
    return [*places, client.look("the archive on S3", ids), client.look("Redis, cached again", ids)]


def render(places: Sequence[Place], info: RunInfo) -> str:
    """Return the table with its heading."""
    how = f"GET of {len(places[0].times_ms):,} finished jobs over one connection, three times."
    heads = ["record found in", "mean ms", "p50", "p95", "p99", "hits", "misses"]
    return (
        info.heading("Where a status comes from", how) + "\n" + table(heads, [each.row() for each in places])
    )
