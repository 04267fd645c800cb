"""A report as one self-contained page: the words of the Markdown, and figures that can be pointed at."""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import orjson
from markdown_it import MarkdownIt

from loadtest_trio.report.compare import compare
from loadtest_trio.report.extras import MissingExtraError
from loadtest_trio.report.figures import FIGURES, Figure, over_time
from loadtest_trio.report.markdown import Cell, duration, table
from loadtest_trio.report.page import STYLE, embedded
from loadtest_trio.report.reader import read
from loadtest_trio.report.runs import Run, number
from loadtest_trio.report.splitting import split
from loadtest_trio.report.users_report import is_users

_IMAGE = re.compile(r'<img src="([^":/]+)\.png" alt="([^"]*)" />')
_KEPT = re.compile(r'src="([^":/]+\.png)"')


def write_interactive(places: Sequence[Path], report: Path, target: Path) -> Path:
    """Write a report as a page with figures in the place of its pictures.

    Args:
        places: Files and folders of log lines that the report was made from.
        report: ``REPORT.md``, with its pictures beside it.
        target: The HTML file.

    Returns:
        The HTML file.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    runs = [run for run in split(read(places).lines) if not is_users(run)]
    names = [f"run{place}" if len(runs) > 1 else "run" for place in range(1, len(runs) + 1)]
    figures = {
        f"{name}-{kind}": make(run)
        for name, run in zip(names, runs, strict=True)
        for kind, make in FIGURES.items()
        if run.metrics
    }
    return _write(report.read_text(encoding="utf-8"), figures, report.parent, target)


def write_comparison(
    pairs: Sequence[tuple[Sequence[Path], Sequence[Path]]], target: Path, detect: float | None = None
) -> Path:
    """Write two or more runs side by side: figures one over another, and each against the first in words.

    Args:
        pairs: Sides A and B of each comparison: files or folders, of which the longest run counts.
        target: The HTML file.
        detect: See `compare`.

    Raises:
        MissingExtraError: plotly or scipy is not installed.
        UnreadableRunError: There is no run in one of them.
    """
    places = list(dict.fromkeys(place for pair in pairs for side in pair for place in side))
    runs = {f"{chr(ord('A') + index)}: {place.name}": _longest(place) for index, place in enumerate(places)}
    headings = ("", *runs)
    rows: list[list[Cell]] = [
        [title, *(figure(run) for run in runs.values())] for title, figure in _COMPARED.items()
    ]
    parts = [
        "# Runs side by side",
        table(headings, rows),
        "## Over time",
        "![Over time](all-time.png)",
        *(part for a, b in pairs for part in (f"## {_said(b)} against {_said(a)}", compare(a, b, detect))),
    ]
    return _write("\n\n".join(parts), {"all-time": over_time(runs)}, target.parent, target)


_COMPARED: dict[str, Callable[[Run], Cell]] = {
    "began": lambda run: str(run.started.get("timestamp", "–")),
    "length": lambda run: duration(run.seconds),
    "messages done": lambda run: number(run.final, "messages_processed"),
    "messages a second": lambda run: number(run.final, "messages_processed") / max(run.seconds, 1e-9),
    "failed attempts": lambda run: number(run.final, "errors"),
    "given up": lambda run: number(run.final, "messages_failed"),
    "lost": lambda run: number(run.final.get("ledger") or {}, "lost"),
}


def _said(places: Sequence[Path]) -> str:
    return ", ".join(map(str, places))


def _longest(place: Path) -> Run:
    return max(split(read([place]).lines), key=lambda run: run.seconds)


def _write(markdown: str, figures: Mapping[str, Figure], pictures: Path, target: Path) -> Path:
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    used = [name for name, _ in _IMAGE.findall(body) if name in figures]
    body = _IMAGE.sub(lambda found: _placed(found[1], found[2], figures, found[0]), body)
    body = _KEPT.sub(lambda found: embedded(pictures / found[1], found[0]), body)
    target.parent.mkdir(parents=True, exist_ok=True)
    title = markdown.splitlines()[0].lstrip("# ")
    target.write_text("".join(_page(title, body, {name: figures[name] for name in used})), encoding="utf-8")
    return target


def _placed(name: str, alternative: str, figures: Mapping[str, Figure], otherwise: str) -> str:
    if name not in figures:
        return otherwise
    return f'<figure aria-label="{alternative}" data-figure="figure-{name}"></figure>'


def _page(title: str, body: str, figures: Mapping[str, Figure]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main>"
    for name, figure in figures.items():
        # Inside a script only its end tag could end it: no text of a log may write one.
        data = orjson.dumps(figure).decode().replace("<", "\\u003c")
        yield f'<script type="application/json" id="figure-{name}">{data}</script>'
    if figures:
        drawing = resources.files(__package__).joinpath("static", "figures.js").read_text(encoding="utf-8")
        yield f"<script>{_plotly()}</script><script>{drawing}</script>"
    yield "</body></html>\n"


def _plotly() -> str:
    """Return plotly.js as its Python package carries it."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("plotly is needed: pip install 'loadtest-trio[report]'")
    package = Path(next(iter(spec.submodule_search_locations)))
    return (package / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
