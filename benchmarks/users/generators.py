"""The load generators that are compared, and how each is started with the same script."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from benchmarks.jobs.services import PEERS_VENV, our_command, peer_program
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


def users_command(url: str, load: ClientLoad) -> list[str]:
    """Return the command of our own simulated users, with the scenario of brief 001.

    Raises:
        Unavailable: The command `users` does not run here.
    """
    flags = ["-H", url, "-u", f"{load.users}", "-r", f"{load.spawn_rate:g}", "-t", f"{load.seconds:g}s"]
    options = {
        "jobs": load.jobs,
        "poll": f"{load.poll_seconds:g}",
        "type": load.job["type"],
        "payload": json.dumps(load.job["payload"]),
    }
    scenario = [word for name, value in options.items() for word in ("-P", f"{name}={value}")]
    return [*our_command("users"), *flags, "--headless", *scenario]


def foreign_command(client: str, url: str, load: ClientLoad) -> list[str]:
    """Return the command of Locust or k6.

    Raises:
        Unavailable: Its environment was not installed.
    """
    peer_program(client)
    return launch.command(client, url, load, Path(PEERS_VENV / "bin"))


GENERATORS = (
    Generator(OURS, "loadtest_trio users", users_command),
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
