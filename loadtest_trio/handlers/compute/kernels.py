"""The computations themselves, and how a worker process is set up to run them.

A worker process imports this module and nothing else of the package, so it starts fast and stays small:
only the standard library here.
"""

import decimal
import hashlib
import math
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

_LEAF = 32
"""Factors that are multiplied as machine-friendly `int` before they become one `Decimal`."""

_EXACT = decimal.Context(
    prec=decimal.MAX_PREC,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.Rounded, decimal.InvalidOperation, decimal.Overflow],
)
"""Multiplies without rounding, or raises."""

_SERVICE_GONE = 70
"""Exit code of a worker process that ends because its service has."""

_NICENESS = 5
"""Lower priority than the event loop, so that computations do not delay it."""


def factorial_digits(n: int) -> bytes:
    """Return all decimal digits of ``n!`` as ASCII.

    The product is computed in decimal: `decimal` multiplies large numbers by a number-theoretic transform and
    prints them in linear time. An `int` takes quadratic time to print (2.2 s for 100,000!, against 0.07 s for
    all of it here) and refuses beyond `sys.get_int_max_str_digits`.

    Args:
        n: 0 or more.
    """
    with decimal.localcontext(_EXACT):
        return str(_product(1, n + 1)).encode()


def _product(start: int, stop: int) -> decimal.Decimal:
    """Multiply ``start`` up to ``stop - 1`` as a balanced tree, so that factors of like size meet."""
    if stop - start <= _LEAF:
        return decimal.Decimal(math.prod(range(start, stop)))
    middle = (start + stop) // 2
    return _product(start, middle) * _product(middle, stop)


def sha512_chain(data: bytes, iterations: int) -> bytes:
    """Apply SHA-512 `iterations` times, each time to the digest before, and return the last one in hex.

    Args:
        data: What the first application hashes.
        iterations: 1 or more; 1 is the plain SHA-512 of `data`.
    """
    digest = hashlib.sha512(data).digest()
    for _ in range(iterations - 1):
        digest = hashlib.sha512(digest).digest()
    return digest.hex().encode()


def set_up_worker() -> None:
    """Prepare a worker process: signals, priority, and an end when the service ends, however it ends.

    A signal to the service's process group, such as Ctrl-C or the SIGTERM of a supervisor, must not end work
    that the service is still waiting for: the service alone decides when its workers end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_service, daemon=True).start()


def _end_with_service() -> None:
    """Exit when the service is gone: a computation does not notice that nobody waits for its result."""
    service = multiprocessing.parent_process()
    if service is not None:
        wait([service.sentinel])
        os._exit(_SERVICE_GONE)
