"""What a Terraform file may say to a provider, checked without the provider.

`subset` cuts the provider's schema (15 MB) down to the types a module uses; `faults` reads a parsed module
against such a subset and finds unknown names and missing required ones, nested blocks included. That is
less than `terraform validate`: no types of values, no references.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Terraform's own arguments, allowed in every block of their kind (Terraform language, "Meta-Arguments").
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection"}

Schema = dict[str, Any]
Module = list[dict[str, Any]]


def used_types(module: Module, kind: str) -> dict[str, list[tuple[str, Any]]]:
    """Return type -> (name, body) of all blocks of a kind, ``resource`` or ``data``."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for file in module:
        for block in file.get(kind, []):
            for quoted, named in block.items():
                rows = [(name.strip('"'), body) for name, body in named.items() if isinstance(body, dict)]
                found.setdefault(quoted.strip('"'), []).extend(rows)
    return found


def subset(schemas: Mapping[str, Any], module: Module) -> dict[str, dict[str, Schema]]:
    """Return the part of a provider's schema that a module needs, without descriptions.

    Args:
        schemas: ``resource_schemas`` and ``data_source_schemas`` as `terraform providers schema` has them.
        module: The module's files, parsed by python-hcl2.
    """
    kinds = {"resource": "resource_schemas", "data": "data_source_schemas"}
    return {
        kind: {
            name: _cut(schemas[field][name]["block"])
            for name in sorted(used_types(module, kind))
            if name in schemas[field]
        }
        for kind, field in kinds.items()
    }


def _cut(block: Mapping[str, Any]) -> Schema:
    attributes = block.get("attributes", {})
    blocks = block.get("block_types", {})
    settable = {name: row for name, row in attributes.items() if row.get("required") or row.get("optional")}
    return {
        "required": sorted(name for name, row in settable.items() if row.get("required")),
        "optional": sorted(name for name, row in settable.items() if not row.get("required")),
        "needed_blocks": sorted(name for name, row in blocks.items() if row.get("min_items")),
        "blocks": {name: _cut(blocks[name]["block"]) for name in sorted(blocks)},
    }


def faults(schema: Mapping[str, Mapping[str, Schema]], module: Module) -> Iterator[str]:
    """Yield one sentence for each name that is unknown or missing."""
    for kind in ("resource", "data"):
        for name, rows in used_types(module, kind).items():
            if name == "terraform_data":
                continue
            if name not in schema[kind]:
                yield f"{kind} {name}: unknown type"
                continue
            for label, body in rows:
                yield from _faults_of(f"{kind} {name}.{label}", schema[kind][name], body, META)


def _faults_of(where: str, schema: Schema, body: Mapping[str, Any], also: set[str]) -> Iterator[str]:
    dynamic = {
        name.strip('"'): content
        for row in body.get("dynamic", [])
        for name, made in row.items()
        if isinstance(made, dict)
        for content in made["content"]
    }
    given = {name for name in body if not name.startswith("__") and name != "dynamic"} | set(dynamic)
    known = {*schema["required"], *schema["optional"], *schema["blocks"], *also}
    for name in sorted(given - known):
        yield f"{where}: {name} is unknown"
    for name in sorted({*schema["required"], *schema["needed_blocks"]} - given):
        yield f"{where}: {name} is missing"
    for name, inner in schema["blocks"].items():
        written = body.get(name, [])
        rows = written if isinstance(written, list) else [written]
        for row in [*rows, *filter(None, [dynamic.get(name)])]:
            yield from _faults_of(f"{where}.{name}", inner, row, set())
