"""`tune` on the real service: the rig that makes the steps which the plan in `tune/plan/` asks for."""

from loadtest_trio.tune.rig.search import search

__all__ = ["search"]
