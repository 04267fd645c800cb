"""The table of routes of the job API; the OpenAPI document is tested against it.

Exact paths are looked up first, then templates; a template's one parameter is the segment in braces.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from loadtest_trio.web.api.exchange import Answer
from loadtest_trio.web.api.problems import Problem

Handle = Callable[..., Awaitable[Answer]]


@attrs.frozen
class Route:
    """One method and path.

    Attributes:
        method: The method; a GET route also answers HEAD.
        template: The path, such as ``/api/jobs/{id}``.
        handle: Called with the request, and with the parameter if there is one.
        submits: Whether it submits new work, which is refused while the service is draining.
        public: Whether it needs no token.
        name: The name in statistics; it contains the template and not the id.
    """

    method: str
    template: str
    handle: Handle
    submits: bool = False
    public: bool = False
    name: str = attrs.field(init=False)

    @name.default
    def _make_name(self) -> str:
        return f"{self.method} {self.template}"


class Router:
    """Finds the route of a request.

    Args:
        routes: All of them.
    """

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._exact: dict[str, dict[str, Route]] = {}
        self._templates: dict[tuple[str, str], dict[str, Route]] = {}
        for route in routes:
            before, brace, rest = route.template.partition("{")
            after = rest.partition("}")[2]
            place = self._templates.setdefault((before, after), {}) if brace else None
            if place is None:
                place = self._exact.setdefault(route.template, {})
            place[route.method] = route
            if route.method == "GET":
                place.setdefault("HEAD", route)

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """Return the route and its parameters.

        Raises:
            Problem: 404 for an unknown path, 405 for a method that the path does not support.
        """
        methods, parameters = self._exact.get(path), ()
        if methods is None:
            methods, parameters = self._match(path)
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(sorted(methods)).encode()
            raise Problem(405, f"{method} is not allowed here.", [(b"allow", allowed)])
        return route, parameters

    def _match(self, path: str) -> tuple[dict[str, Route], Any]:
        for (before, after), methods in self._templates.items():
            if path.startswith(before) and path.endswith(after):
                parameter = path[len(before) : len(path) - len(after)]
                if parameter and "/" not in parameter and len(before) + len(after) < len(path):
                    return methods, (parameter,)
        raise Problem(404, "There is nothing at this path.")
