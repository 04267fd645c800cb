"""The types that the fields of a search's or a crowd's lines must have; a line with others counts as damaged.

Sections and pictures can therefore use the fields without checks. A missing or null field is not damage.
"""

from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _truth(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _any(_: Any) -> bool:
    return True


def _list_of(shape: Shape) -> Shape:
    def holds(value: Any) -> bool:
        return isinstance(value, list) and all(each is not None and shape(each) for each in value)

    return lambda value: value is None or holds(value)


def _object_of(shape: Shape) -> Shape:
    return lambda value: value is None or (isinstance(value, dict) and all(map(shape, value.values())))


def _fields(**shapes: Shape) -> Shape:
    return lambda value: isinstance(value, dict) and _fits(value, shapes)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _fits(line: Mapping[str, Any], shapes: Mapping[str, Shape]) -> bool:
    return all(shape(line.get(name)) for name, shape in shapes.items())


def _named(shape: Shape, *names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, shape)


_VERDICT = {
    **_named(_text, "bottleneck"),
    **_named(_number, "workers"),
    "because": _list_of(_text),
    "scores": _object_of(_number),
    "evidence": _object_of(_plain),
}
_OPERATION = _fields(**_named(_number, "total_us", "low", "high"))
_PREDICTION = _fields(
    **_named(_number, "bytes", "cpu_us", "low", "high", "per_vcpu"), mix=_text, extrapolated=_truth
)
_JOBS = _fields(statuses=_object_of(_number))
_LAW = _fields(**_named(_number, "ratio", "least", "most", "stages", "within"), passed=_truth)
_ROUTE = _fields(**_named(_number, "requests", "failures"), statuses=_object_of(_number))
_SHAPES: dict[str, dict[str, Shape]] = {
    "users_started": {
        **_named(_list_of(_text), "conditions", "thresholds"),
        **_named(_object_of(_any), "limits", "machine", "options"),
    },
    "users": {
        **_named(
            _number, "step", "wanted_level", "seconds", "uptime_seconds", "users", "requests", "failures"
        ),
        **_named(_object_of(_any), "target", "generator"),
        "jobs": lambda value: value is None or _JOBS(value),
        "errors": _object_of(_number),
        "histograms": _object_of(_text),
        "limited": _list_of(_text),
    },
    "users_routes": {**_named(_number, "step", "uptime_seconds"), "routes": _object_of(_ROUTE)},
    "users_limit": {**_named(_number, "sustained", "failed_at"), "unit": _text, "reasons": _list_of(_text)},
    "users_stop_condition": _named(_number, "step"),
    "users_threshold": _named(_number, "value"),
    "metrics": _named(_text, "stage_kind"),
    "tune_stage": {
        **_named(_text, "kind", "change"),
        **_named(_number, "workers", "nominal_per_second", "offered_per_second", "goodput_per_second"),
        **_named(_number, "seconds", "backlog", "p99_ms", "error_percent", "cpu_percent", "memory_mb"),
        "passed": _truth,
        "reasons": _list_of(_text),
    },
    "tune_saturation": {
        **_named(_number, "workers", "rate", "offered_per_second", "failed_at", "cpu_wait"),
        **_named(_number, "windows", "windows_passed", "speed", "low", "high"),
        **_named(_number, "rate_normalised", "low_normalised", "high_normalised"),
        "confirmed": _truth,
        "reasons": _list_of(_text),
    },
    "tune_scaling": {
        **_named(_number, "lambda", "sigma", "kappa", "peak_workers", "peak_rate"),
        "points": _list_of(_fields(**_named(_number, "workers", "rate", "low", "high"))),
        "intervals": _object_of(_pair),
        "not_distinguishable_from_0": _list_of(_text),
        "peak_reached": _truth,
        "littles_law": lambda value: value is None or _LAW(value),
    },
    "tune_experiment": {
        **_named(_text, "experiment", "change"),
        **_named(_number, "before_per_second", "after_per_second", "elasticity", "low", "high"),
        **_named(_number, "factor", "left_out", "disturbed"),
        "windows": _list_of(_number),
    },
    "tune_host_changed": {**_named(_number, "at_seconds", "before", "after"), "repeated": _text},
    "tune_window": {
        **_named(_text, "experiment", "change"),
        **_named(_number, "at_seconds", "workers", "seconds", "per_second", "speed", "core_share", "steal"),
        **_named(_number, "mhz", "cpu_percent", "cpu_wait_percent"),
    },
    "tune_verdict": _VERDICT,
    "tune_next_verdict": _VERDICT,
    "tune_costs": {
        "mean_bytes": _number,
        "measured_bytes": lambda value: value is None or _pair(value),
        "operations": _object_of(_OPERATION),
        "components": _object_of(lambda value: isinstance(value, dict) and _object_of(_number)(value)),
        "predictions": _list_of(_PREDICTION),
    },
}


def well_formed(line: Mapping[str, Any]) -> bool:
    """Whether the fields of a line have the types that the report expects."""
    event = line["event"]
    if event == "tune_calibrated":
        return all(map(_plain, line.values()))
    return _number(line.get("stage")) and _fits(line, _SHAPES.get(event, {}))
