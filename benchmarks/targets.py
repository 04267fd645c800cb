"""Targets that a measurement is held to, and whether its median meets them."""

import operator
import statistics

import attrs

from benchmarks.output import spread

HEADS = ["target", "measured: median (least–most)", "met"]
"""Heads of the columns that `Target.row` fills after the name."""

_MEETS = {"<": operator.lt, "≤": operator.le, "≥": operator.ge, ">": operator.gt, "=": operator.eq}


@attrs.frozen
class Target:
    """A measured figure beside its target.

    Attributes:
        name: The figure.
        values: One value a round; empty when it could not be measured.
        bound: The target.
        sign: How the median must compare with the bound: ``<``, ``≤``, ``≥``, ``>`` or ``=``.
        unit: Of the values and of the bound.
        digits: Decimal places that are shown.
    """

    name: str
    values: list[float]
    bound: float
    sign: str = "<"
    unit: str = "µs"
    digits: int = attrs.field()

    @digits.default
    def _fewer_for_large_units(self) -> int:
        return 1 if self.unit == "µs" else 2

    @property
    def met(self) -> str:
        """``yes``, ``no`` or ``not measured``."""
        if not self.values:
            return "not measured"
        return "yes" if _MEETS[self.sign](statistics.median(self.values), self.bound) else "no"

    def row(self) -> list[str]:
        """Return the cells of a table: name, target, measured, met."""
        measured = f"{spread(self.values, self.digits)} {self.unit}" if self.values else spread([])
        return [self.name, f"{self.sign} {self.bound:,g} {self.unit}".strip(), measured.strip(), self.met]
