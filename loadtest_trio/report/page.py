"""A written report as one HTML file: its pictures inside, nothing to fetch."""

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

_IMAGE = re.compile(r'src="([^":/]+\.png)"')
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #8884; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 0; }
img { max-width: 100%; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } }
"""


def write_page(report: Path, target: Path) -> Path:
    """Write a Markdown report as one self-contained page.

    Args:
        report: ``REPORT.md``, with its pictures beside it.
        target: The HTML file.

    Returns:
        The HTML file.
    """
    text = report.read_text(encoding="utf-8")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = _IMAGE.sub(lambda found: embedded(report.parent / found[1], found[0]), body)
    title = html.escape(text.splitlines()[0].lstrip("# ") if text else "Report")
    target.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        encoding="utf-8",
    )
    return target


def embedded(picture: Path, otherwise: str) -> str:
    """Return the ``src`` attribute that holds a picture itself; `otherwise` when there is none."""
    if not picture.is_file():
        return otherwise
    return f'src="data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"'
