"""Summarise a Terraform plan for scripts/deploy and scripts/destroy: changes and costs.

Reads `terraform show -json PLAN` from standard input. The first line of the output is for the script: the
image's platform, its tag, region and name. The rest is for the user who has to confirm.
"""

import json
import sys
from collections import Counter
from typing import Any

ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}
NAMES = {"create": "create", "update": "update", "delete/create": "replace", "create/delete": "replace"}
UNKNOWN = {"s3_requests": "unknown: in saturate mode the rate is what one vCPU can do"}


def for_script(plan: dict[str, Any]) -> str:
    """Return platform, image tag, region and name from the plan's variables."""
    values = {name: item.get("value") for name, item in plan["variables"].items()}
    architecture = ARCHITECTURES[values["cpu_architecture"]]
    return f"linux/{architecture} {values['image_tag']}-{architecture} {values['region']} {values['name']}"


def changes(plan: dict[str, Any]) -> list[str]:
    """Return the numbers of changes by kind, and the addresses of resources that will be lost."""
    kinds = {
        item["address"]: NAMES.get(kind, kind)
        for item in plan.get("resource_changes", [])
        if (kind := "/".join(item["change"]["actions"])) not in {"no-op", "read"}
    }
    counts = sorted(Counter(kinds.values()).items())
    lost = [f"  {kind}s {address}" for address, kind in kinds.items() if kind in {"delete", "replace"}]
    return ["plan: " + (", ".join(f"{n} to {kind}" for kind, n in counts) or "no changes"), *sorted(lost)]


def costs(outputs: dict[str, Any]) -> list[str]:
    """Return the lines of the cost estimate, by service and for the whole run."""
    values = {name: item.get("value") for name, item in outputs.items()}
    total = "a month" if "load_balancer" in values["cost_usd_a_day"] else "the whole run"
    sums = {total: values.get("cost_usd_a_run")}
    if total == "a month":
        sums["  at most"] = values.get("cost_usd_a_run_at_most")
    parts = {**values["cost_usd_a_day"], **sums}
    missing = dict.fromkeys(sums, "unknown: a part of it is") | UNKNOWN
    return [
        f"estimate a day, at prices of {values['prices_as_of']}:",
        *(
            f"  {part:<14}"
            + (missing.get(part, "unknown: not in prices.json") if usd is None else f"${usd:8.2f}")
            for part, usd in parts.items()
        ),
    ]


def main() -> None:
    """Read the plan and print the summary; a plan that destroys everything has no costs."""
    plan = json.load(sys.stdin)
    outputs = plan["planned_values"].get("outputs", {})
    lines = [for_script(plan), *changes(plan), *(costs(outputs) if "cost_usd_a_day" in outputs else [])]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
