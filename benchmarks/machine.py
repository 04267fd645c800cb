"""Describes the machine that the figures come from."""

import os
import platform
import re
import subprocess
import sysconfig
from pathlib import Path

from benchmarks.contenders import ROOT


def python_build() -> str:
    """Return the interpreter's version, and how it was built as far as that is known.

    Distributions enable profile-guided optimisation in their own way, without configure's option.
    """
    configured = str(sysconfig.get_config_var("CONFIG_ARGS"))
    if sysconfig.get_config_var("prefix") == "/usr":
        return f"{platform.python_version()} of the distribution"
    optimised = "--enable-optimizations" in configured
    return platform.python_version() + ("" if optimised else ", compiled without --enable-optimizations")


def machine() -> dict[str, str | int]:
    """Return processor, cores, kernel, Python and commit."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return {
        "cpu": model[1] if model else "unknown",
        "cores": os.cpu_count() or 0,
        "kernel": os.uname().release,
        "python": python_build(),
        "commit": git.stdout.strip(),
    }
