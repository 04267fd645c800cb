"""Summarise a Terraform plan for scripts/deploy: the image's platform, the changes, and what they cost.

Reads `terraform show -json PLAN` from standard input. The first line printed is the platform, for the
script; the rest is for the person who has to say yes.
"""

import json
import sys
from collections import Counter
from typing import Any

PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


def changes(plan: dict[str, Any]) -> str:
    """Return how many resources are created, updated, replaced and deleted, as one line."""
    kinds = Counter("/".join(item["change"]["actions"]) for item in plan.get("resource_changes", []))
    names = {"create": "create", "update": "update", "delete/create": "replace", "create/delete": "replace"}
    counts = Counter({names.get(kind, kind): n for kind, n in kinds.items() if kind not in {"no-op", "read"}})
    return "plan: " + (", ".join(f"{n} to {kind}" for kind, n in sorted(counts.items())) or "no changes")


def costs(plan: dict[str, Any]) -> list[str]:
    """Return the estimate by service and for the run, as lines."""
    values = {name: item.get("value") for name, item in plan["planned_values"]["outputs"].items()}
    parts = {**values["cost_usd_a_day"], "the whole run": values.get("cost_usd_a_run")}
    return [
        f"estimate a day, at prices of {values['prices_as_of']}:",
        *(
            f"  {part:<14}" + ("unknown: not in prices.json" if usd is None else f"${usd:8.2f}")
            for part, usd in parts.items()
        ),
    ]


def main() -> None:
    """Read the plan, print the platform and the summary."""
    plan = json.load(sys.stdin)
    architecture = plan["variables"]["cpu_architecture"]["value"]
    sys.stdout.write("\n".join([PLATFORMS[architecture], changes(plan), *costs(plan)]) + "\n")


if __name__ == "__main__":
    main()
