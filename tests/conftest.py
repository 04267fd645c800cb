"""Servers for everybody's tests: real ones, on free loopback ports, gone with the session however it ends.

`redis_server`, `debian_redis_server`, `s3_server` and `moto_server` live as long as the session and are
shared: a test that kills, pauses or fills a server starts one of its own (``RedisServer.start(tmp_path)``).
"""

import http.client
import signal
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session
import pytest
import redis
from xdist.scheduler import LoadFileScheduling

from loadtest_trio.backends.embedded import RedisServer, S3Server
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.server_process import ServerProcess
from tests.support.skips import reason_of

DEBIAN_REDIS = Path("/usr/bin/redis-server")


class MotoServer(ServerProcess):
    """moto as a second S3, one that checks no signatures, in a process of its own."""

    name = "moto"

    def _choose_ports(self, port: int | None) -> list[int]:
        return [port] if port else free_ports(1)

    def _configure(self) -> None:
        """Nothing to write."""

    def _arguments(self) -> list[str]:
        return ["-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)]

    def _answers(self) -> bool:
        return self.request("GET", "/moto-api/data.json") == http.client.OK

    def _secrets(self) -> list[str]:
        return []

    @property
    def endpoint_url(self) -> str:
        """The address for ``S3_ENDPOINT_URL``."""
        return f"http://{LOOPBACK}:{self.port}"

    def request(self, method: str, path: str) -> int:
        """Send one bare request and return the status."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request(method, path)
            return connection.getresponse().status
        finally:
            connection.close()


class FileScheduling(LoadFileScheduling):  # type: ignore[misc] # untyped
    """Gives whole files to processes; those of the deployment, which share a run of Terraform, to one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "tests/deploy" if file.startswith("tests/deploy/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling | None:
    """Replace xdist's own distribution of files."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell why a test on Trio was skipped."""
    report = yield
    if report.skipped and call.excinfo and (reason := reason_of(call.excinfo.value)):
        report.longrepr = (str(item.path), 0, f"Skipped: {reason}")
    return report


@pytest.fixture(scope="session", autouse=True)
def heeded_hangup() -> None:
    """Heed SIGHUP, which a session under ``nohup`` ignores, and with it the processes that tests start."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Valkey out of the wheel."""
    with RedisServer.start() as server:
        yield server


@pytest.fixture(scope="session")
def debian_redis_server() -> Iterator[RedisServer]:
    """Redis 7.0 as Debian packages it: the version that ElastiCache speaks."""
    if not DEBIAN_REDIS.exists():
        pytest.skip(f"{DEBIAN_REDIS} is missing: apt-get install redis-server")
    with RedisServer.start(binary=DEBIAN_REDIS) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of the shared Valkey, emptied."""
    return _emptied(redis_server)


@pytest.fixture(params=["redis_server", "debian_redis_server"], ids=["valkey", "redis7.0"])
def each_redis_url(request: pytest.FixtureRequest) -> str:
    """Address of an emptied server: the test runs once on Valkey and once on Debian's Redis 7.0."""
    return _emptied(request.getfixturevalue(request.param))


def _emptied(server: RedisServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """SeaweedFS: checks signatures."""
    with S3Server.start() as server:
        yield server


@pytest.fixture(scope="session")
def s3_environment(s3_server: S3Server) -> dict[str, str]:
    """The variables with which a client finds SeaweedFS and signs for it (no bucket among them)."""
    return s3_server.environment()


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> Any:  # botocore makes its clients' classes at run time
    """The botocore client for SeaweedFS: the judge of what really lies in a bucket."""
    return _botocore_client(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key)


@pytest.fixture(scope="session")
def make_s3_client() -> Callable[[str, str, str], Any]:
    """Make further botocore clients: ``make_s3_client(endpoint_url, access_key, secret_key)``."""
    return _botocore_client


@pytest.fixture
def bucket(s3_client: Any) -> Iterator[str]:
    """An empty bucket of the test's own on SeaweedFS, removed with its objects afterwards."""
    name = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    yield name
    s3_client.delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """Moto in a process of its own."""
    with MotoServer(Path(sys.executable), None, None, None).begin() as server:
        yield server


@pytest.fixture
def moto_endpoint(moto_server: MotoServer) -> str:
    """Address of the shared moto, emptied; any keys will do."""
    assert moto_server.request("POST", "/moto-api/reset") == http.client.OK
    return moto_server.endpoint_url


def _botocore_client(endpoint_url: str, access_key: str, secret_key: str) -> Any:
    """Make a botocore S3 client that tries once and uses path-style addresses."""
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )
