"""The log of a command that serves: standard output, in the form that the settings ask for."""

import sys
from contextlib import AbstractContextManager

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.metrics import logs
from loadtest_trio.settings import LogFormat, Settings


def log_to_stdout(settings: Settings) -> AbstractContextManager[None]:
    """Return the context in which the log is written to standard output; see `logs.writing`.

    Raises:
        ConfigurationError: Standard output is closed. Its descriptor may soon be a socket's, so nothing must
            be written to it.
    """
    if sys.stdout is None:
        raise ConfigurationError([], ["standard output is closed: redirect it, at least to /dev/null"])
    is_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stdout.isatty()
    )
    return logs.writing(sys.stdout.fileno(), json=is_json, level=settings.log_level)
