"""The dashboard's routes on the Quart-Trio application."""

from collections.abc import AsyncIterator
from typing import Any, cast

from quart import Response, make_response, redirect, request, send_file
from quart_trio import QuartTrio
from quart_trio.wrappers.response import TrioFileBody

from loadtest_trio.web.dashboard.access import COOKIE, Access
from loadtest_trio.web.dashboard.assets import Plotly, find_plotly, load_assets
from loadtest_trio.web.dashboard.hub import Hub, Viewer

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_FOR_GOOD = "public, max-age=31536000, immutable"
_MISSING = (
    '<p class="missing">Charts need the plotly package: '
    "<code>pip install 'loadtest-trio[dashboard]'</code>. The figures below are live without it.</p>"
)
_CHUNK = 128 * 1024


def add_page(app: QuartTrio, hub: Hub, access: Access) -> None:
    """Add the page at ``/``, its files, and the event stream.

    Args:
        app: The application.
        hub: Where the lines come from.
        access: Who may look.
    """
    assets, plotly = load_assets(), find_plotly()
    page = _page(assets["index.html"].body.decode(), plotly)

    @app.after_request
    async def protect(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    @app.get("/")
    async def index() -> Any:
        shown = page if access.may_look(request) else assets["login.html"].body.decode()
        response = await make_response(shown)
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.post("/login")
    async def login() -> Any:
        form = await request.form
        response = await make_response(redirect("/", 303))
        if access.admits(form.get("token", "")):
            response.set_cookie(COOKIE, access.cookie(), httponly=True, samesite="Strict")
        return response

    @app.get("/static/<name>")
    async def static_file(name: str) -> Any:
        if plotly and name == f"plotly-{plotly.version}.min.js":
            return await _plotly_response(plotly)
        asset = assets.get(name)
        if asset is None:
            return "", 404
        headers = {"Content-Type": asset.content_type, "ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"}
        if request.if_none_match.contains(asset.etag):
            return "", 304, headers
        return asset.body, 200, headers

    @app.get("/events")
    async def events() -> Any:
        if not access.may_look(request):
            return {"error": "the dashboard's token is needed"}, 401
        viewer = hub.join(request.headers.get("Last-Event-ID"))
        if viewer is None:
            return {"error": "too many dashboards are open, or the service ends"}, 503, {"Retry-After": "5"}
        response = cast(Response, await make_response(_stream(hub, viewer)))
        response.timeout = None  # it lasts as long as somebody watches
        response.headers["Content-Type"] = "text/event-stream"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response


async def _stream(hub: Hub, viewer: Viewer) -> AsyncIterator[bytes]:
    try:
        async for chunk in viewer:
            yield chunk
    finally:
        hub.leave(viewer)


async def _plotly_response(plotly: Plotly) -> Any:
    try:
        response = await send_file(plotly.path, mimetype="text/javascript", conditional=True)
    except AssertionError:  # Quart fails at ranges such as ``bytes=-5``; a range may be ignored
        response = await send_file(plotly.path, mimetype="text/javascript", conditional=False)
    # A thread reads each chunk: hundreds of small ones would be felt.
    cast(TrioFileBody, response.response).buffer_size = _CHUNK
    response.headers["Cache-Control"] = _FOR_GOOD
    return response


def _page(template: str, plotly: Plotly | None) -> str:
    """Return the page with the chart library's address in it, or with what to install."""
    script = f'<script defer src="static/plotly-{plotly.version}.min.js"></script>' if plotly else ""
    return template.replace("<!-- charts -->", script).replace("<!-- missing -->", "" if plotly else _MISSING)
