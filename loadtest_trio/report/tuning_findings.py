"""The explaining sections of a report on a saturation search: scaling, bottleneck, costs."""

from collections.abc import Sequence

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.markdown import Cell, table
from loadtest_trio.report.runs import Run, mapping, number

_PARAMETERS = (
    ("lambda", "λ, messages a second of one worker alone"),
    ("sigma", "σ, contention"),
    ("kappa", "κ, coherency"),
)


def scaling(run: Run) -> str:
    """Throughput against concurrency: the fit of the Universal Scalability Law and Little's law."""
    fit = run.first("tune_scaling")
    if not fit:
        return ""
    bounds, vanishing = mapping(fit.get("intervals")), fit.get("not_distinguishable_from_0") or []
    rows: list[list[Cell]] = [
        [
            meaning,
            f"not distinguishable from 0 ({number(fit, name):.2g})" if name in vanishing else fit.get(name),
            *bounds.get(name, (None, None)),
        ]
        for name, meaning in _PARAMETERS
    ]
    parts = [
        "X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), fitted to every closed loop without a handicap "
        "(N. J. Gunther, Universal Scalability Law); intervals of 95 % from the slices of each step and from "
        "what steps of equal concurrency differ by.",
        table(("", "estimate", "from", "to"), [*rows, *_peak(fit)]),
        _littles_law(mapping(fit.get("littles_law"))),
    ]
    return "\n\n".join(part for part in parts if part)


def _peak(fit: LogLine) -> list[list[Cell]]:
    names = (("peak_workers", "workers at the peak of the curve"), ("peak_rate", "messages a second there"))
    bounds = mapping(fit.get("intervals"))
    most = max((number(point, "workers") for point in fit.get("points") or []), default=0.0)
    if not fit.get("peak_reached", 0 < number(fit, "peak_workers") < most):
        return [["peak of the curve", f"not reached with up to {most:.0f} workers", None, None]]
    return [[meaning, fit.get(name), *bounds.get(name, (None, None))] for name, meaning in names]


def _littles_law(law: LogLine) -> str:
    if not law:
        return ""
    least, most = (number(law, name, number(law, "ratio")) for name in ("least", "most"))
    return (
        "Little's law as a self-test of the measurements: messages in the system over throughput "
        f"× mean time in it = **{number(law, 'ratio'):.2f}** on average over "
        f"{number(law, 'stages'):.0f} stages, from {least:.2f} to {most:.2f}; 1 is perfect, "
        f"{'all are within 25 % of it' if law.get('passed') else '**NOT all are within 25 % of it**'}."
    )


def bottleneck(run: Run) -> str:
    """The evidence, the experiments and the resulting scores."""
    verdict = run.first("tune_verdict")
    evidence, scores = mapping(verdict.get("evidence")), mapping(verdict.get("scores"))
    parts = []
    if evidence:
        rows = [(name.replace("_", " "), value) for name, value in evidence.items()]
        parts.append(table(("evidence at saturation", "value"), rows))
    parts += _experiments(run)
    if scores:
        ranked = sorted(scores, key=lambda name: -number(scores, name))
        parts.append(table(("resource", "score, 0 to 1"), [(name, number(scores, name)) for name in ranked]))
    return "\n\n".join(parts)


def _experiments(run: Run) -> list[str]:
    names = ("before_per_second", "after_per_second", "elasticity", "low", "high")
    lines = run.all("tune_experiment")
    rows: list[list[Cell]] = [
        [str(line.get("change")), *(line.get(name) for name in names), *_counts(line)] for line in lines
    ]
    if not rows:
        return []
    return [
        "The effect on throughput of one change at a time. Elasticity: % change in throughput per % change "
        f"of the resource (1 = fully limiting, 0 = irrelevant). {_how(lines)}",
        table(("change", "before /s", "after /s", "elasticity", "from", "to", "windows", "left out"), rows),
    ]


def _counts(line: LogLine) -> list[Cell]:
    """Return the number of windows that count, and of those left out because the host changed."""
    made, left_out = len(line.get("windows") or []), int(number(line, "left_out"))
    return [made - left_out, left_out] if made else [None, None]


def _how(lines: Sequence[LogLine]) -> str:
    if not any(line.get("windows") for line in lines):
        return "This log is of an older version: each experiment was one or two long stages."
    return (
        "Each window of an experiment is compared with the baselines before and after it; intervals of 95 % "
        "by Student's t over these comparisons, wide enough for stopping early (Stein). Windows in which the "
        "host's speed changed are left out and measured again."
    )


def costs(run: Run) -> str:
    """CPU per message by operation and component, and predictions from it."""
    line = run.first("tune_costs")
    if not line:
        return ""
    components = mapping(line.get("components"))
    names = sorted({name for split in components.values() for name in split})
    rows: list[list[Cell]] = [
        [
            operation,
            number(model, "total_us"),
            _range(model),
            *(components.get(operation, {}).get(n) for n in names),
        ]
        for operation, model in mapping(line.get("operations")).items()
    ]
    parts = [
        f"CPU microseconds per message at a mean file size of {number(line, 'mean_bytes'):,.0f} bytes; "
        "ranges of 95 % from the residuals of the cost model.",
        table(("operation", "total", "95 %", *names), rows),
    ]
    return "\n\n".join([*parts, *_predictions(line)])


def _range(line: LogLine) -> str:
    if line.get("low") is None or line.get("high") is None:
        return ""
    return f"{number(line, 'low'):,.0f} to {number(line, 'high'):,.0f}"


def _predictions(line: LogLine) -> list[str]:
    rows: list[list[Cell]] = [
        [
            f"{each.get('mix')}{' (extrapolated)' if each.get('extrapolated') else ''}",
            each.get("bytes"),
            each.get("cpu_us"),
            _range(each),
            each.get("per_vcpu"),
        ]
        for each in line.get("predictions") or []
    ]
    if not rows:
        return []
    sizes = line.get("measured_bytes")
    inside = f" Sizes from {sizes[0] or 0:,.0f} to {sizes[1] or 0:,.0f} bytes were measured." if sizes else ""
    return [
        f"Predictions for other work, with a whole vCPU.{inside}",
        table(("mix", "file bytes", "CPU µs a message", "95 %", "messages/s per vCPU"), rows),
    ]
