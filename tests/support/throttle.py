"""Lets a process run only a share of the time: ``python tests/support/throttle.py PID --share 0.3``.

It stops and continues the process (SIGSTOP, SIGCONT) many times a second, so that all its threads get that
share of their CPU. It ends when it is terminated, with the process running, or when the process is gone.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import suppress

_PERIOD_SECONDS = 0.02


def throttle(pid: int, share: float) -> None:
    """Stop and continue a process until it is gone or this one is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    parent = os.getppid()
    try:
        with suppress(ProcessLookupError):
            while os.getppid() == parent:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(_PERIOD_SECONDS * (1 - share))
                os.kill(pid, signal.SIGCONT)
                time.sleep(_PERIOD_SECONDS * share)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("pid", type=int)
    parser.add_argument("--share", type=float, default=0.3)
    options = parser.parse_args()
    throttle(options.pid, options.share)
