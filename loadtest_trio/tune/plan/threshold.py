"""The interval of a saturation rate, from all offers that passed or failed. Pure.

Near its limit a service keeps up with a rate sometimes. The saturation rate is where half of the offers pass;
the chance to pass falls with the logarithm of the rate as a logistic curve, and a few per cent of the offers
fail or pass for reasons that have nothing to do with the rate (F. Wichmann and N. Hill, "The psychometric
function: I. Fitting, sampling, and goodness of fit", Perception & Psychophysics 63, 2001). The interval has
every rate that some steepness explains about as well as the best one does: profile likelihood, at 95 %.
"""

from collections.abc import Sequence
from math import exp, log

_STEEPNESS = (0.005, 0.01, 0.02, 0.04, 0.08)  # spread of the limit between offers, as a share of the rate
_LAPSE = 0.05
_DEVIANCE = 3.84 / 2  # 95 % quantile of chi-squared with one degree of freedom, halved
_STEP, _BEYOND = 0.0025, 0.2  # of the rates that are tried, in logarithms


def rate_interval(offers: Sequence[tuple[float, bool]]) -> tuple[float, float] | None:
    """Return the ends of the interval; None unless some offers passed and some failed.

    Args:
        offers: Rate offered, and whether the system kept up.
    """
    if len({passed for _, passed in offers}) < 2:
        return None
    points = [(log(max(rate, 1e-9)), passed) for rate, passed in offers]
    least, most = min(points)[0] - _BEYOND, max(points)[0] + _BEYOND
    tried = [least + _STEP * place for place in range(round((most - least) / _STEP) + 1)]
    likelihoods = [max(_likelihood(points, rate, spread) for spread in _STEEPNESS) for rate in tried]
    best = max(likelihoods)
    inside = [rate for rate, each in zip(tried, likelihoods, strict=True) if best - each <= _DEVIANCE]
    return exp(min(inside)), exp(max(inside))


def _likelihood(points: Sequence[tuple[float, bool]], limit: float, spread: float) -> float:
    """Return the logarithm of the likelihood of a limit."""
    total = 0.0
    for rate, passed in points:
        chance = 1 / (1 + exp(min(500.0, (rate - limit) / spread)))
        chance = _LAPSE / 2 + (1 - _LAPSE) * chance
        total += log(chance if passed else 1 - chance)
    return total
