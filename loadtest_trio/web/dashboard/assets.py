"""The page's own files, read once, and plotly's JavaScript where its package is installed."""

from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import attrs

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@attrs.frozen
class Asset:
    """One file of the page.

    Attributes:
        body: Its content.
        content_type: For the header.
        etag: Names this content.
    """

    body: bytes
    content_type: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """Return the page's files by name."""
    folder = files("loadtest_trio.web.dashboard").joinpath("static")
    found = {}
    for file in folder.iterdir():
        suffix = Path(file.name).suffix
        if suffix in _TYPES:
            body = file.read_bytes()
            found[file.name] = Asset(body, _TYPES[suffix], sha256(body).hexdigest()[:16])
    return found


@attrs.frozen
class Plotly:
    """The chart library as its package carries it.

    Attributes:
        path: Of ``plotly.min.js``.
        version: Of the package: part of the file's address, so that browsers may keep it for good.
    """

    path: Path
    version: str


def find_plotly() -> Plotly | None:
    """Return the chart library, or None when the extra ``dashboard`` is not installed."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"
    return Plotly(path, version("plotly")) if path.is_file() else None
