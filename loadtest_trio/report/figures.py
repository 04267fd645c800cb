"""A run's pictures as figures that plotly.js draws: they can be pointed at, zoomed and compared. Pure.

A figure is what plotly.js takes, without its colours: those are the page's (static/figures.js).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest_trio.report.histograms import MergedLatencies, merge
from loadtest_trio.report.intervals import intervals
from loadtest_trio.report.runs import Run, number

Figure = dict[str, Any]

_OPERATIONS = ("READ", "UPDATE", "CREATE", "DELETE")
_GAP = 0.04  # between two panels, as a share of the height
_TICKS = (0, 50, 90, 99, 99.9, 99.99)
_MOST_POINTS = 2000  # of one curve: a screen shows no more


def over_time(runs: Mapping[str, Run]) -> Figure:
    """Rate, latency, queue, CPU and memory over the seconds since the start; one or more runs in each panel.

    Args:
        runs: The runs by the name that the legend gives them; a single one needs none.
    """
    panels = (
        ("messages/s done", _rates),
        ("p99, ms", lambda run: _curve(run, "end_to_end_p99_ms")),
        ("waiting", lambda run: _curve(run, "queue_length")),
        ("CPU, %", lambda run: _curve(run, "cpu_percent")),
        ("memory, MB", lambda run: _curve(run, "memory_mb")),
    )
    data = [
        _trace(name, *curve(run), panel=panel, colour=place, legend=panel == 1 and len(runs) > 1)
        for panel, (_, curve) in enumerate(panels, 1)
        for place, (name, run) in enumerate(runs.items())
    ]
    layout = _stacked([title for title, _ in panels], "seconds since the start")
    uses = [use for run in runs.values() for use in _uses(run)]
    return {"data": data, "layout": layout | ({"shapes": uses} if uses else {})}


def latency(run: Run) -> Figure:
    """Latency by percentile, end to end and of the requests, both scales logarithmic."""
    distributions = merge(run.steady if run.is_tuning else run.metrics)
    groups = (
        ("end to end, ms", [(name, f"{name}.end_to_end_ms") for name in _OPERATIONS]),
        (
            "S3 and Redis, ms",
            [
                (path.removesuffix(".latency_ms").replace(".", " "), path)
                for path in sorted(distributions)
                if path.startswith(("s3.", "redis.")) and path.endswith(".latency_ms")
            ],
        ),
    )
    data = [
        trace
        for panel, (_, curves) in enumerate(groups, 1)
        for trace in _percentiles(distributions, curves, panel)
    ]
    layout = _stacked([title for title, _ in groups], "percentile")
    for name in ("yaxis", "yaxis2"):
        layout[name] |= {"type": "log", "rangemode": "normal"}
    tails = [100 / (100 - tick) for tick in _TICKS]
    layout["xaxis"] |= {"type": "log", "tickvals": tails, "ticktext": [f"p{tick:g}" for tick in _TICKS]}
    return {"data": data, "layout": layout | {"height": 620}}


def mix(run: Run) -> Figure:
    """Nominal against achieved shares."""
    operations = {
        name: each for name, each in run.operations.items() if each.get("share_nominal") is not None
    }
    fields = (("share_nominal", "nominal", 5), ("share_actual", "achieved", 0))
    data = [
        {
            "type": "bar",
            "name": meaning,
            "x": [*operations],
            "y": [number(each, field) for each in operations.values()],
            "meta": {"colour": colour},
        }
        for field, meaning, colour in fields
    ]
    return {"data": data, "layout": {"barmode": "group", "height": 300, "yaxis": {"title": {"text": "%"}}}}


FIGURES = {"time": lambda run: over_time({"": run}), "latency": latency, "mix": mix}
"""What stands in a report under a picture's name -> the figure that takes its place."""


def _curve(run: Run, field: str) -> tuple[list[float], list[float | None]]:
    lines = _thinned(run.metrics)
    return [run.elapsed(line) for line in lines], [line.get(field) for line in lines]


def _uses(run: Run) -> Iterator[Figure]:
    """Yield a line through all panels for every use of a control; its name shows on pointing at it."""
    for line in run.all("control_used"):
        at = round(line["_at"] - run.began, 3)
        yield {
            "type": "line",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": at,
            "x1": at,
            "line": {"width": 1, "dash": "dot"},
            "label": {"text": f"{line.get('control')}: {line.get('value')}", "textposition": "start"},
        }


def _rates(run: Run) -> tuple[list[float], list[float | None]]:
    found = _thinned(intervals(run.metrics))
    return [each.at for each in found], [round(each.rate, 3) for each in found]


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    return points[:: max(1, -(-len(points) // _MOST_POINTS))]


def _percentiles(
    distributions: Mapping[str, MergedLatencies], curves: Sequence[tuple[str, str]], panel: int
) -> Iterator[Figure]:
    shown = [(label, distributions[path]) for label, path in curves if path in distributions]
    for colour, (label, merged) in enumerate(shown):
        steps = [(100 / max(100 - 100 * share, 1e-3), ms) for ms, share in merged.steps()]
        tails, values = [tail for tail, _ in steps], [ms for _, ms in steps]
        yield _trace(label, tails, values, panel=panel, colour=colour, legend=True) | {
            "line": {"shape": "hv"}
        }


def _trace(
    name: str, x: Sequence[float], y: Sequence[float | None], *, panel: int, colour: int, legend: bool
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "yaxis": "y" if panel == 1 else f"y{panel}",
        "showlegend": legend,
        "legendgroup": name,
        "meta": {"colour": colour},
    }


def _stacked(titles: Sequence[str], below: str) -> Figure:
    """Return the layout of panels one under another, over one horizontal axis."""
    height = (1 + _GAP) / len(titles)
    axes = {
        "yaxis" if place == 0 else f"yaxis{place + 1}": {
            "title": {"text": title},
            "domain": [max(0.0, 1 - (place + 1) * height + _GAP), 1 - place * height],
            "rangemode": "tozero",
        }
        for place, title in enumerate(titles)
    }
    last = "y" if len(titles) == 1 else f"y{len(titles)}"
    return {
        **axes,
        "xaxis": {"title": {"text": below}, "anchor": last},
        "height": 130 * len(titles) + 100,
        "hovermode": "x unified",
    }
