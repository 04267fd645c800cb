"""Figures out of rounds: one value per round, and ratios that are taken within a round.

A round maps a key (a contender, with whatever else varies) to its sample. A contender that failed is missing.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")


def values(rounds: Sequence[Mapping[K, S]], key: K, figure: Callable[[S], float]) -> list[float]:
    """Return one figure of one key, one value for each round that has it."""
    return [figure(samples[key]) for samples in rounds if key in samples]


def ratios(rounds: Sequence[Mapping[K, S]], key: K, other: K, figure: Callable[[S], float]) -> list[float]:
    """Return a figure of one key over that of another *in the same round*, for the rounds that have both."""
    return [
        figure(samples[key]) / figure(samples[other]) for samples in rounds if {key, other} <= samples.keys()
    ]
