"""The stages that measure the CPU cost of a message, by operation and by component. Pure.

Four mixes take turns in short windows, at the whole size and a quarter of it, there and back. Each is mostly
of one operation but has all of them: a stage of a single operation would be cheaper than the same messages in
a mix, since its code and data stay in the CPU's caches, and predictions from such stages come out too low.
Windows that take turns meet the same host, so its drift is no difference between mixes. What a window did is
counted, not assumed: messages of the mix before, still on the queue, do no harm.

The split by component comes from a sampling profile of the same stages; its shares are scaled to the cost
in the model (`cost_model`).
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import attrs

from loadtest_trio.report.statistics import confidence_interval
from loadtest_trio.tune.plan.cost_model import OPERATIONS, CostModel, Weights, Work, resample_models, solve
from loadtest_trio.tune.plan.observations import Observation, join_all
from loadtest_trio.tune.plan.steps import Handicap, Kind, Plan, Step, Switch, TuneEvent, measured, stage_event

__all__ = ["SIZES", "CostModel", "Work", "components", "costs_event", "mean_bytes", "measure_costs", "solve"]

SIZES = (1.0, 0.25)
_EXTRAPOLATION_MARGIN = 0.9  # sizes up to a tenth outside the measured range do not count as extrapolated
_MIXES: Mapping[str, Mapping[str, float]] = {
    "mostly READ": {"READ": 76.0, "UPDATE": 8.0, "CREATE": 8.0, "DELETE": 8.0},
    "mostly UPDATE": {"READ": 8.0, "UPDATE": 76.0, "CREATE": 8.0, "DELETE": 8.0},
    "mostly CREATE": {"READ": 8.0, "UPDATE": 8.0, "CREATE": 66.0, "DELETE": 18.0},
    "CREATE and DELETE": {"READ": 8.0, "UPDATE": 8.0, "CREATE": 42.0, "DELETE": 42.0},
}
_PASSES = (SIZES, SIZES[::-1])  # there and back, so that drift meets both sizes alike
_WINDOW, _GUARD_SECONDS = 0.4, 0.3  # share of a stage's seconds; time after a switch that is not measured


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
    idle = Step(Kind.COST, seconds, workers, 1.0, change="hardly any load")
    observation = yield from measured(idle)
    yield stage_event(idle, observation)
    works.append(observation.work)
    works += yield from _alternate(workers, _WINDOW * seconds)
    model = solve(works)
    yield costs_event(works, model, mix)
    return model


def _alternate(workers: int, seconds: float) -> Plan[list[Work]]:
    """Measure each mix at each size in windows that take turns; log each mix and size as one stage."""
    rng = Random(1)
    steps = {(size, change): _step(workers, seconds, size, change) for size in SIZES for change in _MIXES}
    made: dict[tuple[float, str], list[Observation]] = {key: [] for key in steps}
    for size in itertools.chain(*_PASSES):
        for change in rng.sample(list(_MIXES), len(_MIXES)):
            made[size, change].append((yield from measured(steps[size, change])))
    for key, windows in made.items():
        yield stage_event(steps[key], join_all(windows))
    return [attrs.evolve(each.work, size=size) for (size, _), windows in made.items() for each in windows]


def _step(workers: int, seconds: float, size: float, change: str) -> Step:
    return Step(
        Kind.COST,
        seconds,
        workers,
        handicap=Handicap(size=size),
        mix=_MIXES[change],
        change=change if size == 1 else f"{change}, {size:g} of the size",
        switch=Switch(_GUARD_SECONDS, workers),
    )


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
