"""What users do: functions that are given a user, chosen by weight, over and over.

An own scenario is a Python file with at least one such function::

    from loadtest_trio.users.scenario import scenario

    @scenario(weight=5)
    async def browse(user):
        await user.get("/items/{id}", id=user.rng.randrange(1000))
        await user.think(1, 3)

A scenario goes through its story once; the population repeats it until the user has to leave, and lets the
story end first.
"""

import importlib.util
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import attrs

from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.user import User

Story = Callable[[User], Awaitable[Any]]
F = TypeVar("F", bound=Story)

_WEIGHT = "__scenario_weight__"


def scenario(weight: float = 1.0) -> Callable[[F], F]:
    """Mark an async function as a scenario.

    Args:
        weight: How often it is chosen, against the others of its file.
    """

    def mark(story: F) -> F:
        setattr(story, _WEIGHT, weight)
        return story

    return mark


@attrs.frozen
class Scenario:
    """The stories that users choose from.

    Attributes:
        name: For the log and the report.
        stories: What a user can do.
        weights: How often each is chosen.
    """

    name: str
    stories: Sequence[Story]
    weights: Sequence[float]

    def choose(self, user: User) -> Story:
        """Return the story that a user goes through next."""
        if len(self.stories) == 1:
            return self.stories[0]
        return user.rng.choices(self.stories, self.weights)[0]


def gather(name: str, module: ModuleType) -> Scenario:
    """Return the scenario that a module's marked functions are."""
    stories = [each for each in vars(module).values() if callable(each) and hasattr(each, _WEIGHT)]
    return Scenario(name, stories, [getattr(each, _WEIGHT) for each in stories])


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigurationError: It is missing, broken, or has no function marked with ``@scenario``.
    """
    if not path.is_file():
        raise bad_flag("SCENARIO", str(path), "a Python file, or one of jobs, tasks, enqueue")
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise bad_flag("SCENARIO", str(path), "a Python file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise bad_flag(
            "SCENARIO", str(path), f"a Python file that runs ({type(error).__name__}: {error})"
        ) from error
    found = gather(path.stem, module)
    if not found.stories:
        raise bad_flag("SCENARIO", str(path), "a file with a function marked @scenario()")
    return found
