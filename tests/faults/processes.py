"""Loaders as processes of their own, which a test may kill, stop, wake and interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 90.0
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: its code (negative for a signal), what it said, and how long it lived."""

    code: int
    out: str
    err: str
    seconds: float
    hung: bool = False

    @property
    def done(self) -> bool:
        """Tell whether it did what it was to do, bad rows in quarantine or not."""
        return self.code in (0, 4)

    @property
    def result(self) -> dict[str, Any]:
        """Return the first spec of the JSON document on standard output, empty without one."""
        try:
            return dict(json.loads(self.out)["specs"][0])
        except (ValueError, LookupError):
            return {}


class Client:
    """A process that was started; `said` is the stem of the files that take what it says."""

    def __init__(self, command: Sequence[str], said: Path, environ: dict[str, str] | None = None) -> None:
        self._files = (said.with_suffix(".out"), said.with_suffix(".err"))
        self._started = time.monotonic()
        # Files, not pipes: a process that is stopped must not stop who listens to it.
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=said.parent,
                env={**clean_environment(), **(environ or {})},
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        self._process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Wait for the end; one that does not come is brought about, and told."""
        hung = False
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            hung = True
            self._process.kill()
            self._process.wait()
        out, err = (file.read_text(errors="replace") for file in self._files)
        lived = time.monotonic() - self._started
        return Ended(code=self._process.returncode, out=out, err=err, seconds=lived, hung=hung)

    @property
    def running(self) -> bool:
        return self._process.poll() is None


def clean_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "SYNCENGINE_LEASE": "2"}


def engine(spec: Path, url: str, *options: str) -> list[str]:
    """Return the command line of a run."""
    return [
        sys.executable,
        "-m",
        "syncengine",
        "run",
        str(spec),
        "--connection",
        url,
        "--format",
        "json",
        *options,
    ]


def worker(spec: Path, url: str, *, at: int = 0, do: str = "SIGKILL") -> list[str]:
    """Return the command of a run that sends itself a signal at its event number `at`; 0 is never."""
    return [sys.executable, "-m", "tests.faults.worker", str(spec), url, str(at), do]
