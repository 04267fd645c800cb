"""`tune` on the real service: the rig that makes the steps which the plan in `tuning/` asks for."""

from loadtest_trio.saturation.search import search

__all__ = ["search"]
