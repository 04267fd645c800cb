"""Reports an address that cannot be listened on as a fault of its settings."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from loadtest_trio.errors import ConfigurationError, SettingFault
from loadtest_trio.http.address import authority

_HINTS = {errno.EADDRINUSE: "a port that is free", errno.EACCES: "a port above 1023"}


@contextmanager
def listening(names: str, host: str, port: int) -> Iterator[None]:
    """Convert a failure to open an address into a fault of its settings.

    Args:
        names: Names of the settings, such as ``HEALTH_HOST and HEALTH_PORT``.
        host: The address.
        port: The port.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    try:
        yield
    except OverflowError as error:
        allowed = "a port from 0 to 65535"
        raise ConfigurationError([SettingFault(names, authority(host, port), allowed, "settings")]) from error
    except OSError as error:
        allowed = _HINTS.get(error.errno or 0, f"an address that can be listened on ({error.strerror})")
        raise ConfigurationError([SettingFault(names, authority(host, port), allowed, "settings")]) from error
