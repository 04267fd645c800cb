"""The health endpoint's answers."""

import pytest
from quart.typing import TestClientProtocol as Client

from loadtest_trio.errors import RedisUnavailableError
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.web import create_app


class Clock:
    """Monotonic seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def health_state(clock: Clock) -> HealthState:
    """HealthState that call a task stuck after 60 s."""
    return HealthState(clock, 60)


@pytest.fixture
def client(health_state: HealthState) -> Client:
    """A client of the application, without a socket."""
    return create_app("/health", health_state).test_client()


async def test_progress_is_ok(client: Client, health_state: HealthState) -> None:
    """While every task makes progress the answer is 200 without details."""
    health_state.beat("worker")
    response = await client.get("/health")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert await response.get_json() == {"status": "OK"}


async def test_stuck_task_is_503(client: Client, health_state: HealthState, clock: Clock) -> None:
    """A task without progress gives 503, with its name and duration."""
    health_state.beat("worker")
    clock.now = 61.23
    health_state.beat("scheduler")
    response = await client.get("/health")
    assert response.status_code == 503
    assert await response.get_json() == {"status": "STUCK", "stuck": {"worker": 61.2}}


async def test_outage_is_degraded_but_200(client: Client, health_state: HealthState, clock: Clock) -> None:
    """During an outage the answer stays 200 and names the backend and its error."""
    health_state.beat("worker")
    health_state.backend("redis", RedisUnavailableError("Redis at host: refused"))
    clock.now = 3600
    response = await client.get("/health")
    assert response.status_code == 200
    assert await response.get_json() == {"status": "OK", "degraded": {"redis": "Redis at host: refused"}}


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/", "/static/x", "/metrics"])
async def test_other_paths_are_404(client: Client, path: str) -> None:
    """Any other path is 404."""
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_405(client: Client, method: str) -> None:
    """Any other method is 405."""
    send = getattr(client, method.lower())
    assert (await send("/health")).status_code == 405


async def test_path_is_configurable(health_state: HealthState) -> None:
    """The application answers at the configured path."""
    client = create_app("/deep/er", health_state).test_client()
    assert (await client.get("/deep/er")).status_code == 200
    assert (await client.get("/health")).status_code == 404
