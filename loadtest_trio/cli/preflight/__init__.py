"""``preflight``: can the backends do it, and what will it cost, before money is spent?"""

from loadtest_trio.cli.preflight.command import MEANING, add_options, execute

__all__ = ["MEANING", "add_options", "execute"]
