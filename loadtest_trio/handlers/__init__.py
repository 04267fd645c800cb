"""The kinds of work: a handler takes a message, does its work, and returns a result or raises.

The worker knows only the registry. A new kind of work is one more handler and one line in `build.py`.
"""

from loadtest_trio.handlers.registry import Handler, Registry

__all__ = ["Handler", "Registry"]
