"""The CPU of the backends' servers: their processes are found by the port, and their CPU time is measured."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest
import trio

from loadtest_trio.backends.opening import server_addresses
from loadtest_trio.metrics.backend_cpu import BackendCpuMeter, ServerAddress
from loadtest_trio.metrics.listeners import family, find_listener, is_local
from loadtest_trio.metrics.machine import ProcessMeter
from tests.support.in_memory import settings

# Listens on a port that it prints. The child inherits the socket, as nginx's workers do, and burns CPU.
SERVER = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
burning = os.fork() == 0 if {children} else {burn}
while burning and os.getppid() != 1:
    pass
input()
"""
Start = Callable[..., tuple[int, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server; returns its process id and its port."""
    with ExitStack() as stack:

        def begin(*, burn: bool = False, children: bool = False) -> tuple[int, int]:
            command = [sys.executable, "-c", SERVER.format(burn=burn, children=children)]
            pipe = subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
            stack.callback(process.kill)
            stack.callback(lambda: [each.kill() for each in psutil.Process(process.pid).children()])
            assert process.stdout
            return process.pid, int(process.stdout.readline())

        yield begin


def test_listener_is_found_by_its_port(start: Start) -> None:
    pid, port = start()
    for host in ("127.0.0.1", "localhost"):
        found = find_listener(host, port)
        assert found is not None
        assert found.pid == pid


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert find_listener("127.0.0.1", port) is None


def test_workers_belong_to_the_process_that_opened_the_socket(start: Start) -> None:
    """Not to the process that started the server, which does not hold its socket."""
    pid, port = start(children=True)
    found = find_listener("127.0.0.1", port)
    assert found is not None
    assert found.pid == pid
    assert len(family(found)) == 2


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.2", True), ("::1", True), ("192.0.2.1", False), ("redis.example", False)],
)
def test_only_addresses_of_this_machine_are_local(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize("children", [False, True])
async def test_cpu_of_servers_is_measured(start: Start, children: bool) -> None:
    """A server that burns a core, itself or in a worker, is told from one that idles."""
    busy, idle = start(burn=True, children=children)[1], start()[1]
    meter = BackendCpuMeter(
        {"s3": ServerAddress("127.0.0.1", busy), "redis": ServerAddress("localhost", idle)}
    )
    first = await meter.read()
    assert first["backend_cpu"]["s3"] == {"cpu_percent": None, "machine_percent": None}
    await trio.sleep(0.5)
    line = await meter.read()
    s3, redis = line["backend_cpu"]["s3"], line["backend_cpu"]["redis"]
    assert s3["cpu_percent"] > 5 > redis["cpu_percent"]  # other programs may take the most of the core
    assert s3["machine_percent"] == pytest.approx(s3["cpu_percent"] / line["machine_cpus"], abs=0.1)
    assert s3["machine_percent"] - 10 <= line["machine_cpu_percent"] <= 100


async def test_unknown_backends_say_why() -> None:
    """A server elsewhere and one that cannot be found have no figures, but a reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    addresses = {"s3": ServerAddress("s3.example", 443), "redis": ServerAddress("127.0.0.1", port)}
    line = await BackendCpuMeter(addresses).read()
    assert line["backend_cpu"]["s3"] == {"unknown": "not on this machine"}
    assert line["backend_cpu"]["redis"]["unknown"].startswith("its process cannot be read")


async def test_restarted_server_is_found_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest_trio.metrics.backend_cpu._REFRESH_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    meter = BackendCpuMeter({"s3": ServerAddress("127.0.0.1", port)})
    assert "unknown" in (await meter.read())["backend_cpu"]["s3"]
    with socket.create_server(("127.0.0.1", port)):  # this process now listens there
        await meter.read()
        assert (await meter.read())["backend_cpu"]["s3"]["cpu_percent"] is not None


def test_addresses_come_from_the_settings() -> None:
    """An endpoint's port, or the default of its scheme; AWS where no endpoint is set."""
    own = settings(REDIS_ENDPOINT="redis://u:p@r.example:7000/1", S3_ENDPOINT_URL="http://127.0.0.1:8333")
    assert server_addresses(own) == {
        "redis": ServerAddress("r.example", 7000),
        "s3": ServerAddress("127.0.0.1", 8333),
    }
    default = server_addresses(settings())
    assert default["redis"] == ServerAddress("localhost", 6379)
    assert default["s3"].port == 443
    assert default["s3"].host.endswith("amazonaws.com")


async def test_meter_survives_a_process_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU of the backends is unknown for one line."""

    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    meter = BackendCpuMeter({"redis": ServerAddress("127.0.0.1", 1)})
    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
    assert "unknown" in (await meter.read())["backend_cpu"]["redis"]


async def test_meters_survive_a_process_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is unknown, and the process goes on."""

    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files")

    meter, process = BackendCpuMeter({"redis": ServerAddress("127.0.0.1", 1)}), ProcessMeter()
    monkeypatch.setattr(psutil, "cpu_times", exhausted)
    monkeypatch.setattr(psutil.Process, "num_fds", exhausted)
    line = await meter.read()
    assert line["machine_cpu_percent"] is None
    assert "unknown" in line["backend_cpu"]["redis"]
    assert process.read()["open_fds"] is None
