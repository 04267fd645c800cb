"""Errors of the embedded backends before they run."""

from loadtest_trio.errors import Fault, LoadtestError


class EmbeddedUnavailableError(LoadtestError):
    """This machine cannot start an embedded server; the user has to provide one (exit code 2)."""

    fault = Fault.USER
