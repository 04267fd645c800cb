"""The load generators that are compared, and how each is started with the same script."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from benchmarks.contenders import ROOT
from benchmarks.jobs.services import PEERS_VENV, peer_program
from benchmarks.process import Unavailable
from tests.clients import launch
from tests.clients.launch import ClientLoad

OURS, K6, LOCUST = "trio", launch.K6, launch.LOCUST


@attrs.frozen
class Generator:
    """One load generator.

    Attributes:
        name: What ``--only`` calls it.
        title: What the tables call it.
        command: Returns its command line for a service's address and a load; raises `Unavailable`.
    """

    name: str
    title: str
    command: Callable[[str, ClientLoad], list[str]]


@functools.cache
def probe_ours() -> None:
    """See that our own command runs.

    Raises:
        Unavailable: It does not; its own words say why.
    """
    command = [sys.executable, "-m", "loadtest_trio", "users", "--help"]
    probe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if probe.returncode:
        said = (probe.stderr.strip() or probe.stdout.strip()).splitlines()
        reason = said[-1] if said else f"exit code {probe.returncode}"
        raise Unavailable(f"`python -m loadtest_trio users` does not run: {reason}")


def our_command(url: str, load: ClientLoad) -> list[str]:
    """Return the command of our own simulated users, with the scenario of brief 001.

    Raises:
        Unavailable: The command `users` does not run here.
    """
    probe_ours()
    flags = ["-H", url, "-u", f"{load.users}", "-r", f"{load.spawn_rate:g}", "-t", f"{load.seconds:g}s"]
    options = {
        "jobs": load.jobs,
        "poll": f"{load.poll_seconds:g}",
        "type": load.job["type"],
        "payload": json.dumps(load.job["payload"]),
    }
    scenario = [word for name, value in options.items() for word in ("-P", f"{name}={value}")]
    return [sys.executable, "-m", "loadtest_trio", "users", *flags, "--headless", *scenario]


def foreign_command(client: str, url: str, load: ClientLoad) -> list[str]:
    """Return the command of Locust or k6.

    Raises:
        Unavailable: Its environment was not installed.
    """
    peer_program(client)
    return launch.command(client, url, load, Path(PEERS_VENV / "bin"))


GENERATORS = (
    Generator(OURS, "loadtest_trio users", our_command),
    Generator(K6, "k6", functools.partial(foreign_command, K6)),
    Generator(LOCUST, "Locust, FastHttpUser", functools.partial(foreign_command, LOCUST)),
)


def find_generators(names: Sequence[str]) -> list[Generator]:
    """Return the generators of these names, all of them for no name.

    Raises:
        KeyError: There is no such generator.
    """
    by_name = {each.name: each for each in GENERATORS}
    return [by_name[name] for name in names] if names else list(GENERATORS)
