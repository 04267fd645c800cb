"""The health server: it opens its port at once and ends without interrupting requests."""

import gc
import socket
import warnings

import httpx
import psutil
import pytest
import trio
from quart_trio import QuartTrio

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.web import HealthService, create_app
from loadtest_trio.web.server import log_crash
from tests.support.log_lines import LogLines

LOOPBACK = "127.0.0.1"


def app() -> QuartTrio:
    """Return the application."""
    return create_app("/health", HealthState(trio.current_time, 60))


async def read_to_the_end(port: int, request: bytes, host: str = LOOPBACK) -> bytes:
    """Send a request and read until the server closes the connection."""
    answer = b""
    with trio.fail_after(5):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(request)
            async for data in stream:
                answer += data
    return answer


async def get(port: int, path: str) -> httpx.Response:
    """Ask."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{LOOPBACK}:{port}{path}")


async def test_server_serves_until_stopped() -> None:
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


@pytest.mark.parametrize("port", [65536, 10**12, -5])
async def test_port_that_is_none_is_a_fault_of_the_settings(port: int) -> None:
    """The socket's own error would be a traceback."""
    with pytest.raises(ConfigurationError, match="HEALTH_PORT"):
        HealthService(app(), LOOPBACK, port)


async def test_request_in_progress_is_answered_after_stop() -> None:
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


def test_taken_port_is_a_fault_of_the_settings() -> None:
    """A port in use is reported at once, with the names of the settings."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            HealthService(app(), LOOPBACK, port)
    (fault,) = caught.value.faults
    assert fault.name == "HEALTH_HOST and HEALTH_PORT"
    assert fault.value == f"{LOOPBACK}:{port}"
    assert fault.allowed == "a port that is free"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_foreign_address_is_a_fault_of_the_settings(host: str) -> None:
    """An address that cannot be listened on is reported the same way."""
    with pytest.raises(ConfigurationError):
        HealthService(app(), host, 0)


def test_server_that_never_ran_leaves_no_socket() -> None:
    """A service that ends before its health endpoint serves leaves no open socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        service = HealthService(app(), LOOPBACK, 0)
        service.close()
        del service
        gc.collect()


@pytest.mark.parametrize(
    "request_head",
    [b"GET /health HTTP/1.0\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
    ids=["HTTP/1.0", "Connection: close"],
)
async def test_connection_of_probe_that_reads_to_the_end_is_closed(request_head: bytes) -> None:
    """A probe that reads until the connection closes gets it closed: 150 of them leave no descriptor."""
    service = HealthService(app(), LOOPBACK, 0)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await read_to_the_end(service.port, request_head)
            before = psutil.Process().num_fds()
            for _ in range(150):
                answer = await read_to_the_end(service.port, request_head)
                assert b'"OK"' in answer
            assert psutil.Process().num_fds() <= before
            service.stop()


async def test_connection_is_closed_after_request_that_outlasts_stop() -> None:
    """A connection whose request is answered during the stop does not outlive the server."""
    asked, go_on, slow = trio.Event(), trio.Event(), QuartTrio("slow")

    @slow.get("/slow")
    async def answer() -> str:
        asked.set()
        await go_on.wait()
        return "done"

    service, answers = HealthService(slow, LOOPBACK, 0), []

    async def ask() -> None:
        answers.append(await read_to_the_end(service.port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"))

    with trio.fail_after(1.5):  # less than the grace: nothing was left to be cancelled
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            nursery.start_soon(ask)
            await asked.wait()
            service.stop()
            go_on.set()
    assert answers[0].endswith(b"done")
    assert b"connection: close" in answers[0].lower()


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
async def test_unspecified_ipv6_address_serves_both_families(client: str) -> None:
    """`::` listens for IPv4 and IPv6, and its URL can be opened."""
    service = HealthService(app(), "::", 0)
    assert service.url == f"http://[::]:{service.port}"
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            answer = await read_to_the_end(service.port, b"GET /health HTTP/1.0\r\n\r\n", client)
            assert b'"OK"' in answer
            service.stop()


def test_fault_of_an_ipv6_address_is_written_with_brackets() -> None:
    """An address in a message is written like in a URL."""
    with pytest.raises(ConfigurationError) as caught:
        HealthService(app(), "2001:db8::1", 8080)
    assert caught.value.faults[0].value == "[2001:db8::1]:8080"


def test_crash_of_an_application_is_logged(log_lines: LogLines) -> None:
    """An exception of an application is logged with the path."""
    log_crash({"type": "http", "path": "/api/jobs"}, ValueError("no"))
    (line,) = log_lines.of("request_crashed")
    assert (line["level"], line["route"]) == ("ERROR", "/api/jobs")
    assert "no" in line["error"]


def test_idle_connection_outlives_that_of_a_load_balancer() -> None:
    """The one that closes first loses a request that crosses: it has to be the load balancer, after 60 s."""
    service = HealthService(app(), LOOPBACK, 0)
    assert service._server._config.keep_alive_timeout > 60
    service.close()
