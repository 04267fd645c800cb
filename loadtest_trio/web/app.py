"""The health endpoint's application."""

from typing import Any

from quart_trio import QuartTrio

from loadtest_trio.metrics.health_state import HealthState


def bare_app() -> QuartTrio:
    """Return an application without routes, whose errors its server answers and reports."""
    app = QuartTrio("loadtest_trio", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = True  # or Quart writes a traceback to standard error
    return app


def create_app(path: str, health_state: HealthState) -> QuartTrio:
    """Return the application that answers `GET path`.

    The answer is 200 with ``{"status": "OK"}`` while every task makes progress, with ``degraded`` naming
    backends in an outage; otherwise 503 with the stuck tasks.

    Args:
        path: The path, such as ``/health``.
        health_state: The state to report.
    """
    app = bare_app()

    @app.get(path)
    async def health() -> tuple[dict[str, Any], int]:
        reading = health_state.read()
        if not reading.alive:
            return {"status": "STUCK", "stuck": {task: round(s, 1) for task, s in reading.stuck.items()}}, 503
        body: dict[str, Any] = {"status": "OK"}
        if reading.degraded:
            body["degraded"] = reading.degraded
        return body, 200

    return app
