"""``scripts/rehearse``: plays the scenes on one machine and fails if a claim does not hold."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs
import trio

from benchmarks.process import Unavailable
from loadtest_trio.metrics import machine
from tests.rehearsal.applied import MODEL, Deployment
from tests.rehearsal.outcome import Outcome, markdown
from tests.rehearsal.play import LONG, SHORT, Form, play
from tests.rehearsal.read import read_deployment
from tests.rehearsal.scenes import SCENES
from tests.support.aws_server import client

_MEANING = "Play what AWS would do to the deployed job service, on this machine."
_OTHERS = ("scaled", "two-queues")


def main(arguments: Sequence[str]) -> int:
    """Play scenes; return 0 if every claim holds, 1 if one does not, 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(prog="scripts/rehearse", description=_MEANING)
    parser.add_argument("--short", action="store_true", help="the form of CI: AWS compressed")
    parser.add_argument(
        "--scene",
        action="append",
        choices=[*SCENES, *_OTHERS],
        help="only this one; repeat it",
    )
    parser.add_argument("--aws", metavar="URL", help="read the deployment from this endpoint (moto's)")
    parser.add_argument("--cluster", default="loadtest-trio", help="of the deployment there (loadtest-trio)")
    parser.add_argument("--output", metavar="DIR", type=Path, help="write REHEARSAL.md and JSON")
    options = parser.parse_args(arguments)
    form = SHORT if options.short else LONG
    deployment = read_deployment(partial(client, options.aws), options.cluster) if options.aws else MODEL
    try:
        outcomes = trio.run(play, deployment, form, options.scene or [*SCENES, *_OTHERS], _print)
    except Unavailable as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return 2
    if options.output:
        _write(options.output, deployment, form, outcomes)
    broken = [claim for each in outcomes for claim in each.broken]
    print(f"{len(outcomes)} scenes, {len(broken)} claims do not hold")
    return 1 if broken else 0


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
    conditions = [
        f"{when}, {described['cpus']} CPUs ({described['cpu_model']}), by `scripts/rehearse{form.flag}`.",
        f"The deployment is {deployment.source}. Seconds of AWS (health checks, deregistration delay) pass "
        f"{form.speed:g} times as fast as real ones, CloudWatch's minutes {form.scaling_speed:g} times.",
    ]
    page = markdown(outcomes, "Rehearsal of the job service's deployment", conditions)
    (folder / "REHEARSAL.md").write_text(page)
    content = {
        "at": time.time(),
        "machine": described,
        "form": attrs.asdict(form),
        "deployment": attrs.asdict(deployment),
        "scenes": [attrs.asdict(each) for each in outcomes],
    }
    (folder / "rehearsal.json").write_text(json.dumps(content, indent=1, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
