"""Imports optional packages where they are needed; a missing one is one clear line."""

import importlib
from typing import Any

from loadtest_trio.errors import LoadtestError


class MissingExtraError(LoadtestError):
    """An optional package is not installed."""


def need(module: str) -> Any:
    """Import a module of the extra ``report``.

    Args:
        module: Such as ``numpy`` or ``scipy.stats``.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(f"{package} is needed: pip install 'loadtest-trio[report]'") from error
