"""A session against a real address: sockets, the target's readings, signals."""

import gc
import signal
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import psutil
import trio

from loadtest_trio.errors import BackendUnavailableError
from loadtest_trio.metrics import logs, machine, signals
from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.generator import ports_warning, raise_descriptor_limit
from loadtest_trio.users.http_wire import HttpWire, SocketWatch
from loadtest_trio.users.origin import Origin, for_people, parse_url, resolve, split_credentials
from loadtest_trio.users.session import Outcome, Run, Session, View, tell
from loadtest_trio.users.steering import Steering
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.target import Both, LocalProcess, Scraped, Target, listening_process
from loadtest_trio.users.user import Surroundings
from loadtest_trio.users.wire import Wire

_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CONNECT_SECONDS = 5.0
_COLLECTOR = (100_000, 20, 50)
_AGENT = {"User-Agent": "loadtest_trio", "Accept": "*/*"}


@attrs.frozen(kw_only=True)
class Address:
    """Where the service is, and how it is asked.

    Attributes:
        url: Such as ``http://127.0.0.1:8000``.
        timeout: Seconds that a request may take.
        insecure: Do not check the certificate.
        headers: Name -> value, on every request.
        pid: Its process on this machine; None: whoever listens on the port, where that can be known.
    """

    url: str
    timeout: float = 60.0
    insecure: bool = False
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pid: int | None = None

    @classmethod
    def given(cls, url: str, headers: Mapping[str, str] | None = None, **options: Any) -> "Address":
        """Return the address that a URL on the command line means.

        A user name and a password in it become a header, so that no line, table or report shows them.

        Args:
            url: The URL.
            headers: Name -> value, on every request.
            options: Other attributes.

        Raises:
            ConfigurationError: It is no HTTP URL, or it has a path, which no request would go to.
        """
        shown, credentials = split_credentials(url)
        parse_url(shown)
        parts = urlsplit(shown if "://" in shown else f"http://{shown}")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise bad_flag(
                "--host", for_people(shown), "an address without a path: the scenario names its paths"
            )
        sent = dict(headers or {})
        if credentials and "authorization" not in map(str.lower, sent):
            pair = credentials if ":" in credentials else f"{credentials}:"
            sent["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return cls(url=shown, headers=sent, **options)

    def require_listener(self) -> None:
        """Check that somebody listens there, before any user is started.

        Raises:
            ConfigurationError: It is no HTTP URL.
            BackendUnavailableError: Nobody does.
        """
        _, host, port = parse_url(self.url)
        try:
            socket.create_connection((host, port), _CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise BackendUnavailableError(f"{self.url} cannot be reached: {reason}; check --host") from error


async def launch(
    run: Run, address: Address, options: Mapping[str, str], view: View, steering: Steering | None = None
) -> Outcome:
    """Run users against an address until the course ends, or a signal does.

    Args:
        run: What to run.
        address: Where to.
        options: Of the scenario.
        view: Shows how it goes.
        steering: Changes the number of users while it runs.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    async with open_site(address, options) as site:
        for warning in _warnings(run, site.origin):
            logs.event("users_limit", "WARNING", warning=warning)
            view.say(warning)
        session = Session(run, site.around, site.open_wire, site.target, view)
        if steering is not None:
            steering.follow, steering.stop = session.steer, session.stop
        logs.event("users_started", **_started(run, address, options))
        async with trio.open_nursery() as nursery:
            await nursery.start(_watch_signals, session)
            outcome = await session.run()
            nursery.cancel_scope.cancel()
    tell(outcome)
    return outcome


@attrs.frozen
class Site:
    """A service that users can be let loose on.

    Attributes:
        origin: Where it is.
        around: What its users share.
        open_wire: Makes a user's connection.
        target: Tells of its machine.
    """

    origin: Origin
    around: Surroundings
    open_wire: Callable[[], Wire]
    target: Target


@asynccontextmanager
async def open_site(address: Address, options: Mapping[str, str]) -> AsyncIterator[Site]:
    """Look a service up and watch the sockets of its users, until the block ends.

    Args:
        address: Where it is.
        options: Of the scenario.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    origin = await resolve(address.url, timeout=address.timeout, insecure=address.insecure)
    _spare_the_collector()
    headers = _headers(origin, address.headers)
    watch = SocketWatch()
    probe = HttpWire(origin, watch)
    around = Surroundings(Recorder(), Sleepers(), headers, options, url=address.url)
    target = _target(address, origin, probe, headers)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            yield Site(origin, around, lambda: HttpWire(origin, watch), target)
            nursery.cancel_scope.cancel()
    finally:
        probe.close()
        watch.close()


def _spare_the_collector() -> None:
    """Have the garbage collector look seldom: a request leaves no cycle, and users are a million objects."""
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)


def _started(run: Run, address: Address, options: Mapping[str, str]) -> dict[str, Any]:
    return {
        "versions": machine.versions(),
        "machine": machine.describe(),
        "host": address.url,
        "scenario": run.crowd.scenario.name,
        "options": dict(options),
        "profile": run.profile.text,
        "open": run.profile.open,
        "share": f"{run.crowd.share.part}/{run.crowd.share.parts}",
        "interval": run.interval,
        "seed": run.crowd.seed,
        "conditions": sorted(run.rules.conditions),
        "limits": attrs.asdict(run.rules.limits),
        "thresholds": [each.text for each in run.rules.thresholds],
    }


def _warnings(run: Run, origin: Origin) -> list[str]:
    peak = run.crowd.most if run.profile.open else min(run.profile.peak, 1e6)
    users = run.crowd.share.of(peak)
    text = _PORT_RANGE.read_text(encoding="ascii") if _PORT_RANGE.exists() else ""
    found = (raise_descriptor_limit(users), ports_warning(users, f"{origin.host}:{origin.port}", text))
    return [] if run.profile.stepped and run.profile.peak > 20_000 else [each for each in found if each]


def _headers(origin: Origin, more: Mapping[str, str]) -> bytes:
    plain = origin.port == (443 if origin.tls else 80)
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    given = set(map(str.lower, more))
    own = {"Host": f"{host}{'' if plain else f':{origin.port}'}", **_AGENT}
    lines = {**{name: value for name, value in own.items() if name.lower() not in given}, **more}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()


def _target(address: Address, origin: Origin, wire: HttpWire, headers: bytes) -> Target:
    pid = address.pid or listening_process(origin.host, origin.port)
    scraped = Scraped(wire, headers)
    try:
        return Both(LocalProcess(pid), scraped) if pid else scraped
    except (psutil.Error, ValueError):
        if address.pid:
            raise bad_flag("--target-pid", str(pid), "the id of a process of this machine") from None
        return scraped  # whoever listened has just left


async def _watch_signals(
    session: Session,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The first signal lets the users end their stories; the second does not."""
    with trio.open_signal_receiver(*signals.that_ask_to_end()) as received:
        task_status.started()
        first = True
        async for number in received:
            if number == signal.SIGHUP and not first:
                continue  # the system and the shell both send it when a terminal is closed
            if not first:
                raise KeyboardInterrupt
            first = False
            session.stop(f"signal {signal.Signals(number).name}")
