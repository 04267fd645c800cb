"""Numbers on the command line, checked while it is parsed."""

import argparse
from math import inf

_LARGEST_COUNT = 10**9


def positive(text: str) -> float:
    """Return a finite number above 0.

    Raises:
        ArgumentTypeError: It is no such number.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError("give a number above 0, such as 270")
    return number


def at_least_one(text: str) -> int:
    """Return a whole number from 1 to a billion.

    Raises:
        ArgumentTypeError: It is no such number.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _LARGEST_COUNT:
        raise argparse.ArgumentTypeError("must be 1 or more, and a billion at most")
    return number
