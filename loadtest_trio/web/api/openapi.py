"""The OpenAPI 3.1 document of the job API, and a page of it for people."""

import html
from pathlib import Path
from typing import Any

import orjson

from loadtest_trio import __version__
from loadtest_trio.web.api.exchange import Answer, Request

_DOCUMENT = Path(__file__).with_name("openapi.json")


def read_document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    found: dict[str, Any] = orjson.loads(_DOCUMENT.read_bytes())
    found["info"]["version"] = __version__
    return found


async def document(request: Request) -> Answer:
    """GET /openapi.json."""
    return Answer.json(200, read_document())


async def page(request: Request) -> Answer:
    """GET /: the document as a page that needs no network."""
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    return Answer(200, render(read_document()).encode(), headers)


def render(document: dict[str, Any]) -> str:
    """Return the document as one HTML page."""
    info = document["info"]
    operations = "".join(
        _operation(method, path, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return _PAGE.format(
        title=html.escape(info["title"]), about=html.escape(info["description"]), operations=operations
    )


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{html.escape(each['name'])}</code></td><td>{html.escape(each['in'])}</td>"
        f"<td>{html.escape(each.get('description', ''))}</td></tr>"
        for each in (_resolved(part, document) for part in operation.get("parameters", []))
    )
    answers = "".join(
        f"<tr><td><code>{status}</code></td><td></td>"
        f"<td>{html.escape(_resolved(answer, document)['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    example = operation.get("x-curl", "")
    return (
        f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation['summary'])}</p>"
        + (f"<pre>{html.escape(example)}</pre>" if example else "")
        + f"<table>{parameters}{answers}</table></section>"
    )


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: dict[str, Any] = found
    return resolved


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ font-size: 1.1rem; margin-top: 2rem; }} pre, code {{ font-family: ui-monospace, monospace; }}
pre {{ padding: .7rem 1rem; background: color-mix(in srgb, currentColor 8%, transparent); }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ padding: .2rem .6rem .2rem 0; vertical-align: top; }}
</style></head><body><main><h1>{title}</h1><p>{about}</p>
<p><a href="/openapi.json">openapi.json</a></p>{operations}</main></body></html>
"""
