"""The scenarios that are built in, by name: what the users of briefs 001, 002 and 003 do."""

from importlib import import_module
from pathlib import Path

from loadtest_trio.users.scenario import Scenario, gather, load

BUILT_IN = ("jobs", "tasks", "enqueue")


def find(name: str) -> Scenario:
    """Return a built-in scenario by its name, or the one of a file.

    Raises:
        ConfigurationError: There is no such thing, or the file cannot be used.
    """
    if name in BUILT_IN:
        return gather(name, import_module(f"loadtest_trio.users.scenarios.{name}"))
    return load(Path(name))
