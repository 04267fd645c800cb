"""What can go wrong with the embedded backends before they run."""

from loadtest_trio.errors import Fault, LoadtestError


class EmbeddedUnavailableError(LoadtestError):
    """This machine has no embedded server to start: the user has to name one of their own (exit code 2)."""

    fault = Fault.USER
