"""The stages that measure the CPU cost of a message, by operation and by component. Pure.

The split by component comes from a sampling profile of the same stages; its shares are scaled to the cost
in the model (`cost_model`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from loadtest_trio.report.statistics import confidence_interval
from loadtest_trio.tune.plan.cost_model import OPERATIONS, CostModel, Weights, Work, resample_models, solve
from loadtest_trio.tune.plan.steps import Handicap, Kind, Plan, Step, TuneEvent, measured, stage_event

__all__ = ["SIZES", "CostModel", "Work", "components", "costs_event", "mean_bytes", "measure_costs", "solve"]

SIZES = (1.0, 0.25)
_EXTRAPOLATION_MARGIN = 0.9  # sizes up to a tenth outside the measured range do not count as extrapolated
_SINGLE_OPERATIONS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("READ only", {"READ": 1}),
    ("UPDATE only", {"UPDATE": 1}),
    ("CREATE only", {"CREATE": 1}),
)
_STAGES: tuple[tuple[float, str, Mapping[str, float] | None, float | None], ...] = (
    (1.0, "hardly any load", None, 1.0),
    *((size, *each, None) for size in SIZES for each in _SINGLE_OPERATIONS),
    (1.0, "CREATE and DELETE", {"CREATE": 1.0, "DELETE": 1.0}, None),  # DELETE alone would run out of objects
)


def components(works: Sequence[Work], model: CostModel, size: float) -> dict[str, dict[str, float]]:
    """Split the cost of each operation by component.

    Returns:
        Operation -> component -> CPU microseconds per message; they add up to the modelled cost.
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


def measure_costs(
    workers: int, seconds: float, mix: Weights, known: Sequence[Work], out_of_time: Callable[[], bool]
) -> Plan[CostModel | None]:
    """Make the cost stages and log the model.

    Args:
        workers: Concurrency.
        seconds: Duration of each stage.
        mix: The configured mix.
        known: Work of earlier steps without a handicap.
        out_of_time: Whether the time is too short for all stages; fewer would not determine the model.

    Returns:
        The model; None if there was no time.
    """
    works = list(known)
    if out_of_time():
        return None
    for size, change, weights, rate in _STAGES:
        words = change if size == 1 else f"{change}, {size:g} of the size"
        step = Step(Kind.COST, seconds, workers, rate, Handicap(size=size), weights, change=words)
        observation = yield from measured(step)
        yield stage_event(step, observation)
        works.append(attrs.evolve(observation.work, size=size))
    model = solve(works)
    yield costs_event(works, model, mix)
    return model


def costs_event(works: Sequence[Work], model: CostModel, mix: Weights) -> TuneEvent:
    """Return the log line about costs."""
    size, fields = mean_bytes(works), attrs.asdict(model)
    others = resample_models(works, model)
    measured_bytes = [work.mean_bytes for work in works if work.moves]
    wanted: list[tuple[str, Weights, float]] = [("configured", mix, size)]
    wanted += [("configured", mix, size * factor) for factor in (0.1, 0.5, 2.0)]
    wanted += [(f"{name} only", {name: 1.0}, size) for name in OPERATIONS]
    return TuneEvent(
        "tune_costs",
        {
            "mean_bytes": round(size),
            "measured_bytes": [round(min(measured_bytes)), round(max(measured_bytes))],
            "operations": {name: _operation_cost(name, size, model, others) for name in OPERATIONS},
            "model": {**fields, "pace": fields.pop("unit_us")},
            "components": components(works, model, size),
            "predictions": [_prediction(*each, model, others, measured_bytes) for each in wanted],
        },
    )


def mean_bytes(works: Sequence[Work]) -> float:
    """Return the mean size in bytes of the files transferred in full-size stages."""
    full = [work for work in works if work.size == 1]
    moves = sum(work.moves for work in full)
    return sum(work.mean_bytes * work.moves for work in full) / moves if moves else 0.0


def _operation_cost(
    name: str, size: float, model: CostModel, others: Sequence[CostModel]
) -> dict[str, float]:
    low, high = confidence_interval([1e6 * each.cost(name, size) for each in others])
    return {"total_us": round(1e6 * model.cost(name, size), 1), "low": round(low, 1), "high": round(high, 1)}


def _prediction(
    words: str,
    mix: Weights,
    size: float,
    model: CostModel,
    others: Sequence[CostModel],
    measured_bytes: Sequence[float],
) -> dict[str, Any]:
    cost = model.predict(mix, size)
    low, high = confidence_interval([1e6 * each.predict(mix, size) for each in others])
    inside = (
        _EXTRAPOLATION_MARGIN * min(measured_bytes) <= size <= max(measured_bytes) / _EXTRAPOLATION_MARGIN
    )
    return {
        "mix": words,
        "bytes": round(size),
        "cpu_us": round(1e6 * cost, 1),
        "low": round(low, 1),
        "high": round(high, 1),
        "extrapolated": not inside,
        "per_vcpu": round((1 - model.idle) / cost, 1) if cost else None,
    }
