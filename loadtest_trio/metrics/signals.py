"""The signals that ask a process for an orderly end."""

import signal


def that_ask_to_end() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, SIGINT and SIGHUP, which comes when the terminal is closed.

    Without SIGHUP where it is ignored, as under ``nohup``: whoever receives it would heed it again.
    """
    asked = (signal.SIGTERM, signal.SIGINT)
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*asked, signal.SIGHUP)
