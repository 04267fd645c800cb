"""The OpenAPI document says what the routes do, no more and no less."""

from typing import Any, cast

import pytest

from loadtest_trio.handlers.registry import Registry
from loadtest_trio.web.api import JobApi
from loadtest_trio.web.api.app import ApiOptions
from loadtest_trio.web.api.openapi import read_document, render

PAGES = {"GET /", "GET /openapi.json"}


def make_api() -> JobApi:
    """Return an application that is asked for its routes only."""
    nothing: Any = None
    return JobApi(nothing, Registry([]), nothing, ApiOptions(), lambda *_: None, lambda: 0.0)


def test_every_route_is_documented_and_nothing_else() -> None:
    """Each method and path of the table stands in the document."""
    documented = {
        f"{method.upper()} {path}" for path, methods in read_document()["paths"].items() for method in methods
    }
    assert documented | PAGES == {route.name for route in make_api().routes}


@pytest.mark.parametrize(
    "route", [each for each in make_api().routes if each.name not in PAGES], ids=lambda route: route.name
)
def test_documented_answers_follow_from_the_route(route: Any) -> None:
    """What needs the token can answer 401; what takes on work can answer 503."""
    operation = read_document()["paths"][route.template][route.method.lower()]
    assert ("401" in operation["responses"]) is not route.public
    assert "503" in operation["responses"] or not route.submits


def test_page_shows_every_request_with_its_curl_command() -> None:
    """A person reads the page without a network."""
    shown = render(read_document())
    for path in read_document()["paths"]:
        assert path in shown
    assert shown.count("curl ") == sum(map(len, read_document()["paths"].values()))
    assert "https://" not in shown.replace("https://example.org", "")


def test_references_lead_somewhere() -> None:
    """No part of the document points to what is not there."""

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found = cast(Any, read_document())
                for name in part["$ref"].removeprefix("#/").split("/"):
                    found = found[name]
            for each in part.values():
                walk(each)
        elif isinstance(part, list):
            for each in part:
                walk(each)

    walk(read_document())
