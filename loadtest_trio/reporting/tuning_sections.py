"""The sections of a report on a saturation search: stages, saturation, scaling, bottleneck, costs."""

from loadtest_trio.reporting.advice import advice
from loadtest_trio.reporting.markdown import Cell, facts, table
from loadtest_trio.reporting.reader import Line
from loadtest_trio.reporting.runs import Run, mapping, number


def conclusion(run: Run) -> str:
    """The saturation point and the bottleneck, in a few sentences."""
    found, verdict = run.first("tune_saturation"), run.first("tune_verdict")
    sentences = []
    if found:
        sentences.append(
            f"**Saturation point{'' if found.get('confirmed', True) else ' (not confirmed)'}: "
            f"{number(found, 'rate'):,.0f} messages a second** with "
            f"{int(number(found, 'workers'))} workers "
            f"({found.get('windows_passed')} of {found.get('windows')} windows confirmed it"
            f"{'' if found.get('confirmed', True) else ': **not enough**, the machine was too restless'}; "
            f"{number(found, 'failed_at'):,.0f} a second failed: {_listed(found)})."
        )
    if verdict:
        sentences.append(f"**Bottleneck: {verdict.get('bottleneck')}.**")
        sentences += [str(reason) for reason in verdict.get("because", [])]
    return "\n\n".join(sentences) or "The search was interrupted before it came to a result."


def _listed(line: Line) -> str:
    reasons = line.get("reasons")
    return "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""


def stages(run: Run) -> str:
    """Every stage of the search, as it went."""
    rows = [_stage_row(line) for line in run.all("tune_stage")]
    headings = (
        "stage",
        "workers",
        "offered /s",
        "goodput /s",
        "CPU %",
        "memory MB",
        "queue at end",
        "p99 ms",
        "errors %",
        "result",
    )
    return table(headings, rows)


def _stage_row(line: Line) -> list[Cell]:
    passed = line.get("passed")
    result = "" if passed is None else "passed" if passed else _listed(line) or "failed"
    return [
        f"{line.get('stage')} {line.get('kind')} {line.get('change') or ''}".strip(),
        int(number(line, "workers")),
        line.get("offered_per_second"),
        line.get("goodput_per_second"),
        line.get("cpu_percent"),
        line.get("memory_mb"),
        int(number(line, "backlog")),
        line.get("p99_ms"),
        line.get("error_percent"),
        result,
    ]


def scaling(run: Run) -> str:
    """Throughput against concurrency: the fit of the Universal Scalability Law and Little's law."""
    fit = run.first("tune_scaling")
    if not fit:
        return ""
    bounds = mapping(fit.get("intervals"))
    names = (("lambda", "λ, messages a second of one worker alone"), ("sigma", "σ, contention"))
    rows: list[list[Cell]] = [
        [meaning, fit.get(name), *bounds.get(name, (None, None))]
        for name, meaning in (*names, ("kappa", "κ, coherency"))
    ]
    rows.append(["workers at the peak of the curve", fit.get("peak_workers"), None, None])
    rows.append(["messages a second there", fit.get("peak_rate"), *bounds.get("peak_rate", (None, None))])
    law = mapping(fit.get("littles_law"))
    parts = [
        "X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), fitted to the sweep (N. J. Gunther, Universal Scalability "
        "Law); intervals of 95 % by bootstrap over the intervals measured.",
        table(("", "estimate", "from", "to"), rows),
    ]
    if law:
        parts.append(
            f"Little's law as a self-test of the instruments: messages counted in the system over "
            f"throughput × mean time in it = **{number(law, 'ratio'):.2f}** "
            f"({law.get('stages')} stages; 1 is perfect, {'passed' if law.get('passed') else 'NOT passed'})."
        )
    return "\n\n".join(parts)


def bottleneck(run: Run) -> str:
    """The evidence, the experiments and what follows from them."""
    verdict = run.first("tune_verdict")
    if not verdict:
        return ""
    evidence = mapping(verdict.get("evidence"))
    parts = [
        table(("evidence at saturation", "value"), [(k.replace("_", " "), v) for k, v in evidence.items()])
    ]
    experiments = [
        (
            f"{line.get('change')}",
            line.get("before_per_second"),
            line.get("after_per_second"),
            line.get("elasticity"),
            line.get("low"),
            line.get("high"),
        )
        for line in run.all("tune_experiment")
    ]
    if experiments:
        parts += [
            "What throughput did when one thing was changed at a time. The elasticity is the relative change "
            "of throughput over the relative change of that resource: 1 means it is all that counts, 0 "
            "that it does not count.",
            table(("change", "before /s", "after /s", "elasticity", "from", "to"), experiments),
        ]
    scores = mapping(verdict.get("scores"))
    if scores:
        ranked = sorted(scores, key=lambda name: -number(scores, name))
        parts.append(table(("resource", "score, 0 to 1"), [(name, number(scores, name)) for name in ranked]))
    return "\n\n".join(parts)


def costs(run: Run) -> str:
    """CPU a message by operation and by component, and what that predicts."""
    line = run.first("tune_costs")
    if not line:
        return ""
    components = mapping(line.get("components"))
    names = sorted({name for split in components.values() for name in split})
    rows: list[list[Cell]] = [
        [operation, number(model, "total_us"), *(components.get(operation, {}).get(name) for name in names)]
        for operation, model in mapping(line.get("operations")).items()
    ]
    parts = [
        f"CPU microseconds a message at a mean file size of {number(line, 'mean_bytes'):,.0f} bytes.",
        table(("operation", "total", *names), rows),
    ]
    predictions = [
        (str(each.get("mix")), each.get("bytes"), each.get("cpu_us"), each.get("per_vcpu"))
        for each in line.get("predictions") or []
    ]
    if predictions:
        parts += [
            "Predicted for other work, with a whole vCPU to itself:",
            table(("mix", "file bytes", "CPU µs a message", "messages/s per vCPU"), predictions),
        ]
    return "\n\n".join(parts)


def calibration(run: Run) -> str:
    """What machine and backends can do without load."""
    line = run.first("tune_calibrated")
    hidden = {"timestamp", "level", "event", "_at", "stage", "uptime_seconds"}
    return facts((name.replace("_", " "), value) for name, value in line.items() if name not in hidden)


def mitigation(run: Run) -> str:
    """What to do about the bottleneck."""
    verdict = run.first("tune_verdict")
    return "\n".join(f"- {step}" for step in advice(str(verdict.get("bottleneck", "")))) if verdict else ""
