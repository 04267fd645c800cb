"""The health server: a port of its own at once, and an end without cutting anybody off."""

import gc
import socket
import warnings

import httpx
import pytest
import trio
from quart_trio import QuartTrio

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.web import HealthService, create_app

LOOPBACK = "127.0.0.1"


def app() -> QuartTrio:
    """Return the application."""
    return create_app("/health", HealthState(trio.current_time, 60))


async def get(port: int, path: str) -> httpx.Response:
    """Ask."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{LOOPBACK}:{port}{path}")


async def test_it_serves_until_stopped() -> None:
    """Port 0 is a free port, known at once; after `stop` the server ends and the port is free again."""
    service = HealthService(app(), LOOPBACK, 0)
    assert service.port > 0
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            response = await get(service.port, "/health")
            assert (response.status_code, response.json()) == (200, {"status": "OK"})
            assert (await get(service.port, "/")).status_code == 404
            service.stop()
    again = HealthService(app(), LOOPBACK, service.port)
    assert again.port == service.port
    again.close()


async def test_a_request_in_flight_is_answered() -> None:
    """A request that has begun when the server is stopped gets its answer."""
    asked, slow = trio.Event(), QuartTrio("slow")

    @slow.get("/slow")
    async def answer() -> str:
        asked.set()
        await trio.sleep(0.3)
        return "done"

    service, answers = HealthService(slow, LOOPBACK, 0), []

    async def ask() -> None:
        answers.append(await get(service.port, "/slow"))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            nursery.start_soon(ask)
            await asked.wait()
            service.stop()
    assert answers[0].text == "done"


def test_a_port_that_is_taken() -> None:
    """A port in use is a fault of the settings, told at once and by name."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            HealthService(app(), LOOPBACK, port)
    (fault,) = caught.value.faults
    assert fault.name == "HEALTH_HOST and HEALTH_PORT"
    assert fault.value == f"{LOOPBACK}:{port}"
    assert fault.allowed == "a port that is free"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours(host: str) -> None:
    """An address that cannot be listened on is a fault of the settings too."""
    with pytest.raises(ConfigurationError):
        HealthService(app(), host, 0)


def test_a_server_that_never_ran_leaves_no_socket() -> None:
    """A service that ends before its health endpoint began leaves no open socket behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        service = HealthService(app(), LOOPBACK, 0)
        service.close()
        del service
        gc.collect()
