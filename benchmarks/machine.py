"""Facts of the machine and the programs, to stand beside the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from benchmarks.server import SETTINGS

ROOT = Path(__file__).parent.parent


def facts(postgresql: str) -> dict[str, str]:
    """Return what a reader needs to judge the figures, and to repeat them."""
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}" if _system() else platform.platform(),
        "Python": platform.python_version(),
        "PostgreSQL": f"{postgresql}; {settings}; the rest as it comes (fsync, synchronous_commit, autovacuum on)",
        "syncengine": f"{metadata.version('syncengine')}{_revision()}",
        "psycopg": metadata.version("psycopg"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return ""


def _revision() -> str:
    """Return the commit, and whether files differ from it."""
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f", commit {done.stdout.strip()}"
