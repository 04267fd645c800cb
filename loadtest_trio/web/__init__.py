"""The web side: the Quart-Trio application and its server."""

from loadtest_trio.web.app import create_app
from loadtest_trio.web.server import HealthService

__all__ = ["HealthService", "create_app"]
