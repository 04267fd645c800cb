"""Carries out the steps of the plans in `tune/plan/` on the real service or with real users."""

from loadtest_trio.tune.rig.saturation import search_saturation

__all__ = ["search_saturation"]
