"""Placeholder."""

import argparse
from collections.abc import Callable

SWEEPS: dict[str, Callable[[argparse.Namespace], str]] = {}
