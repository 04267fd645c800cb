"""A service on embedded backends, and a browser to look at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.browser import Page, browser, missing
from tests.support.service_process import ServiceProcess

HERE = Path(__file__).parent
QUICK = {
    "LOG_INTERVAL_SECONDS": "1",
    "SCHEDULER_INTERVAL_SECONDS": "0.1",
    "SCHEDULER_MESSAGES_PER_SECOND": "40",
    "PRECONDITION_MIN_OBJECTS": "30",
    "MIN_FILE_UUIDS": "10",
    "MAX_FILE_UUIDS": "50",
    "DASHBOARD": "true",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder, with the reason, where there is no browser."""
    if reason := missing():
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    """One window for all tests."""
    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def store(s3_server: S3Server) -> dict[str, str]:
    """The variables of the shared S3 server, and of a quick run."""
    return {**s3_server.environment(), "S3_BUCKET": "browser", "S3_CREATE_BUCKET": "true", **QUICK}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of a test's own, to kill."""
    with RedisServer.start(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def service(store: dict[str, str], redis_server: RedisServer) -> Iterator[ServiceProcess]:
    """A running service whose dashboard tests may look at and steer, and must leave healthy."""
    environ = {**store, "REDIS_ENDPOINT": redis_server.url}
    with ServiceProcess("run", "--embedded", environ=environ) as process:
        process.wait_for("metrics", lambda line: line["phase"] == "steady")
        yield process


def address(service: ServiceProcess) -> str:
    """Return the printed address of a service's dashboard."""
    return str(service.wait_for("service_started")["dashboard"])
