"""What an application raises, and what becomes of it."""

from collections.abc import Callable

from loadtest_trio.errors import LoadtestError
from loadtest_trio.http.server.asgi import Scope

OnError = Callable[[Scope, Exception], None]
"""Is told what an application raised, with the scope of the request; it must not raise."""


class ClientDisconnectedError(OSError):
    """The client is gone or takes no more bytes. `send` raises it; an application need not catch it."""


class AppError(LoadtestError):
    """The application broke a rule of ASGI or HTTP, such as a body longer than its Content-Length."""


def ignore_error(_: Scope, __: Exception) -> None:
    """Be the `OnError` of an owner who wants none."""


def report(on_error: OnError, scope: Scope, error: Exception) -> None:
    """Tell the owner of a server of an error, unless it is only that the client is gone."""
    if isinstance(error, ExceptionGroup):
        _, rest = error.split(ClientDisconnectedError)
        if rest:
            on_error(scope, rest)
    elif not isinstance(error, ClientDisconnectedError):
        on_error(scope, error)


def report_and_strip(on_error: OnError, scope: Scope, error: BaseException) -> BaseException:
    """Report the application's own errors out of a cancellation, and return the rest to be raised.

    A nursery that is cancelled may raise errors of its tasks in one group with the cancellation. Passed on,
    they would end the server.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    faults, rest = error.split(Exception)
    if faults:
        report(on_error, scope, faults)
    return rest or error
