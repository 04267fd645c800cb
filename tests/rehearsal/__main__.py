"""``scripts/rehearse``: plays the scenes on one machine and fails if a claim does not hold."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from benchmarks.process import Unavailable
from loadtest_trio.metrics import machine
from tests.rehearsal.applied import Deployment
from tests.rehearsal.apply import apply_and_read
from tests.rehearsal.outcome import Outcome, markdown
from tests.rehearsal.overrides import table
from tests.rehearsal.play import LONG, SCENES, SHORT, Form, play
from tests.rehearsal.snapshot import SNAPSHOT, as_json, load_snapshot, write_snapshot
from tests.support.aws_deployment import MissingToolError

_MEANING = "Play what AWS would do to the deployed job service, on this machine."


def main(arguments: Sequence[str]) -> int:
    """Play scenes; return 0 if every claim holds, 1 if one does not, 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(prog="scripts/rehearse", description=_MEANING)
    parser.add_argument("--short", action="store_true", help="AWS's time compressed")
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this one; repeat it")
    parser.add_argument("--snapshot", action="store_true", help="play the snapshot of an earlier apply")
    parser.add_argument("--update-snapshot", action="store_true", help="apply, write the snapshot, and end")
    parser.add_argument("--output", metavar="DIR", type=Path, help="write REHEARSAL.md and JSON")
    options = parser.parse_args(arguments)
    form = SHORT if options.short else LONG
    try:
        if options.update_snapshot:
            write_snapshot(apply_and_read())
            return 0
        deployment = load_snapshot() if options.snapshot else _applied()
        print(f"Played is {deployment.source}, but for these:", *table(deployment), sep="\n", flush=True)
        outcomes = trio.run(play, deployment, form, options.scene or SCENES, _print)
    except (MissingToolError, Unavailable) as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return 2
    if options.output:
        _write(options.output, deployment, form, outcomes)
    broken = [claim for each in outcomes for claim in each.broken]
    print(f"{len(outcomes)} scenes, {len(broken)} claims do not hold")
    return 1 if broken else 0


def _applied() -> Deployment:
    """Return what Terraform applies now; without Terraform, the snapshot."""
    print("applying the module to an AWS on loopback; this takes a minute or more", flush=True)
    try:
        deployment = apply_and_read()
    except MissingToolError as error:
        print(f"not applied: {error}", flush=True)
        return load_snapshot()
    if deployment != load_snapshot():
        print(f"{SNAPSHOT.name} is old: scripts/rehearse --update-snapshot", flush=True)
    return deployment


def _print(outcome: Outcome) -> None:
    print(f"\n{outcome.title} ({outcome.seconds:.0f} s)")
    for claim in outcome.claims:
        print(f"  {'yes' if claim.holds else 'NO ':3} {claim.text}: {claim.found}")
    for name, value in outcome.figures.items():
        print(f"      {name}: {value}")
    sys.stdout.flush()


def _write(folder: Path, deployment: Deployment, form: Form, outcomes: list[Outcome]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    described = machine.describe()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = os.getloadavg()[2]
    pace = "real ones" if form.speed == 1 else f"compressed {form.speed:g} times"
    conditions = [
        f"{when}, {described['cpus']} CPUs ({described['cpu_model']}), load average {load:.0f}, "
        f"by `scripts/rehearse{form.flag}`.",
        f"The deployment is {deployment.source}. Seconds of AWS (health checks, deregistration delay) are "
        f"{pace}; in the scaling scene they are compressed {form.scaling_balancer_speed:g} times, "
        f"and CloudWatch's minutes {form.scaling_speed:g} times.",
        "",
        *table(deployment),
    ]
    page = markdown(outcomes, "Rehearsal of the job service's deployment", conditions)
    (folder / "REHEARSAL.md").write_text(page)
    content = {
        "at": time.time(),
        "machine": described,
        "form": attrs.asdict(form),
        "deployment": {"source": deployment.source, **as_json(deployment)},
        "scenes": [attrs.asdict(each) for each in outcomes],
    }
    (folder / "rehearsal.json").write_text(json.dumps(content, indent=1, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
