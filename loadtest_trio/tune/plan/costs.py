"""What a message costs in CPU, by operation and by component: the stages that show it. Pure.

Where a message's CPU goes comes from a sampling profile of the same stages; its shares are scaled to the
cost that the model (`cost_model`) says.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from loadtest_trio.report.statistics import interval
from loadtest_trio.tune.plan.cost_model import OPERATIONS, CostModel, Mix, Work, resolved, solve
from loadtest_trio.tune.plan.stage import stage
from loadtest_trio.tune.plan.steps import Finding, Handicap, Kind, Plan, Step, measured

__all__ = ["SIZES", "CostModel", "Work", "components", "finding", "mean_bytes", "measure", "solve"]

SIZES = (1.0, 0.25)
_NEAR = 0.9  # of the sizes measured: what lies so near beyond them is no extrapolation
_ONE_BY_ONE: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("READ only", {"READ": 1}),
    ("UPDATE only", {"UPDATE": 1}),
    ("CREATE only", {"CREATE": 1}),
)
_STAGES: tuple[tuple[float, str, Mapping[str, float] | None, float | None], ...] = (
    (1.0, "hardly any load", None, 1.0),
    *((size, *each, None) for size in SIZES for each in _ONE_BY_ONE),
    (1.0, "CREATE and DELETE", {"CREATE": 1.0, "DELETE": 1.0}, None),  # DELETE alone would find nothing
)


def components(works: Sequence[Work], model: CostModel, size: float) -> dict[str, dict[str, float]]:
    """Split the cost of each operation by component.

    Returns:
        Operation -> component -> CPU microseconds a message; they add up to the modelled cost.
    """
    split = {name: dict[str, float]() for name in OPERATIONS}
    counts: Counter[str] = Counter()
    for work in works:
        messages = sum(work.done.values())
        counts.update(work.done)
        for (operation, component), seconds in work.profile.items():
            for name, done in work.done.items():
                share = float(name == operation) if operation else done / messages
                if share:
                    split[name][component] = split[name].get(component, 0.0) + seconds * share
    result = {}
    for name, parts in split.items():
        whole = sum(parts.values())
        if whole and counts[name]:
            scale = 1e6 * model.cost(name, size) / whole
            result[name] = {part: round(seconds * scale, 1) for part, seconds in parts.items()}
    return result


def measure(
    workers: int, seconds: float, mix: Mix, known: Sequence[Work], hurry: Callable[[], bool]
) -> Plan[CostModel | None]:
    """Make the cost stages and say what they show.

    Args:
        workers: Concurrency, where the CPU is busiest.
        seconds: Of each stage.
        mix: The configured mix.
        known: What other steps without a handicap showed.
        hurry: Whether there is no time for all stages; fewer would give no model.
    """
    works = list(known)
    if hurry():
        return None
    for size, change, weights, rate in _STAGES:
        words = change if size == 1 else f"{change}, {size:g} of the size"
        step = Step(Kind.COST, seconds, workers, rate, Handicap(size=size), weights, change=words)
        observation = yield from measured(step)
        yield stage(step, observation)
        works.append(attrs.evolve(observation.work, size=size))
    model = solve(works)
    yield finding(works, model, mix)
    return model


def finding(works: Sequence[Work], model: CostModel, mix: Mix) -> Finding:
    """Return the line about costs."""
    size = mean_bytes(works)
    others = resolved(works, model)
    measured_bytes = [work.mean_bytes for work in works if work.moves]
    wanted: list[tuple[str, Mix, float]] = [("configured", mix, size)]
    wanted += [("configured", mix, size * factor) for factor in (0.1, 0.5, 2.0)]
    wanted += [(f"{name} only", {name: 1.0}, size) for name in OPERATIONS]
    return Finding(
        "tune_costs",
        {
            "mean_bytes": round(size),
            "measured_bytes": [round(min(measured_bytes)), round(max(measured_bytes))],
            "operations": {name: _operation(name, size, model, others) for name in OPERATIONS},
            "model": attrs.asdict(model),
            "components": components(works, model, size),
            "predictions": [_prediction(*each, model, others, measured_bytes) for each in wanted],
        },
    )


def mean_bytes(works: Sequence[Work]) -> float:
    """Return the mean size of the files moved in stages of full size."""
    full = [work for work in works if work.size == 1]
    moves = sum(work.moves for work in full)
    return sum(work.mean_bytes * work.moves for work in full) / moves if moves else 0.0


def _operation(name: str, size: float, model: CostModel, others: Sequence[CostModel]) -> dict[str, float]:
    low, high = interval([1e6 * each.cost(name, size) for each in others])
    return {"total_us": round(1e6 * model.cost(name, size), 1), "low": round(low, 1), "high": round(high, 1)}


def _prediction(
    words: str,
    mix: Mix,
    size: float,
    model: CostModel,
    others: Sequence[CostModel],
    measured_bytes: Sequence[float],
) -> dict[str, Any]:
    cost = model.predict(mix, size)
    low, high = interval([1e6 * each.predict(mix, size) for each in others])
    inside = _NEAR * min(measured_bytes) <= size <= max(measured_bytes) / _NEAR
    return {
        "mix": words,
        "bytes": round(size),
        "cpu_us": round(1e6 * cost, 1),
        "low": round(low, 1),
        "high": round(high, 1),
        "extrapolated": not inside,
        "per_vcpu": round((1 - model.idle) / cost, 1) if cost else None,
    }
