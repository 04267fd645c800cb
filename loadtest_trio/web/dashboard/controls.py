"""Controls: what a visitor may change while it runs.

A control is data: its name, how it looks, how it is read and what using it does. Who builds the service says
which there are; this room checks who asks, hands the value on, and writes each use to the log.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs
import orjson
from quart import request
from quart_trio import QuartTrio

from loadtest_trio.metrics import logs
from loadtest_trio.web.dashboard.access import Access


@attrs.frozen
class Control:
    """One thing that can be changed.

    Attributes:
        name: In the address and in the log, in snake case.
        label: For people.
        kind: A field for text, a choice, or a button.
        use: Takes the value as text and makes it so; raises `ValueError` saying what it must be.
        read: The value now; "" for a button.
        choices: What a choice offers.
        confirm: The question to ask before it is used; "" for none.
    """

    name: str
    label: str
    kind: Literal["field", "choice", "action"]
    use: Callable[[str], object]
    read: Callable[[], str] = lambda: ""
    choices: Sequence[str] = ()
    confirm: str = ""

    def shown(self) -> dict[str, Any]:
        """Return it as the page gets it."""
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "value": self.read(),
            "choices": list(self.choices),
            "confirm": self.confirm,
        }


def add_controls(app: QuartTrio, access: Access, controls: Sequence[Control]) -> None:
    """Add ``GET /controls`` and ``POST /controls/NAME`` with ``{"value": …}``.

    Args:
        app: The application.
        access: Who may use them.
        controls: What there is.
    """
    known: Mapping[str, Control] = {control.name: control for control in controls}

    @app.get("/controls")
    async def list_controls() -> Any:
        if not access.may_ask_for_controls(request):
            return {"controls": []}  # the page then shows none
        return {"controls": [control.shown() for control in controls]}

    @app.post("/controls/<name>")
    async def use_control(name: str) -> Any:
        if not access.may_control(request):
            return {"error": "only this machine, or who brings the token, may use the controls"}, 403
        body, control = _json(await request.get_data()), known.get(name)
        if control is None:
            return {"error": f"there is no control {name}"}, 404
        if not isinstance(body, dict) or not isinstance(body.get("value"), str | int | float):
            return {"error": 'the body must be {"value": …}'}, 400
        value = str(body["value"]).strip()
        before = control.read()
        try:
            control.use(value)
        except ValueError as error:
            return {"error": f"{control.label} must be {error}"}, 400
        value = "" if control.kind == "action" else control.read()
        logs.event("control_used", control=name, value=value, before=before)
        return {"said": f"{control.label}: {value}" if value else f"{control.label}: done", "value": value}


def _json(body: bytes | str) -> Any:
    """Return a body as JSON, or None: Quart's own reader fails where it is no text, or too deep."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None
