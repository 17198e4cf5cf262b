"""The command line as a process of its own, which is fed, interrupted and waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

SECONDS = 20.0

# Seconds that an interrupted command may take: two are promised, and a machine that does much else takes longer.
ENOUGH = 6.0


@contextmanager
def started(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "syncengine", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    seconds: float
    out: str
    err: str


def interrupted(process: subprocess.Popen[str], *numbers: signal.Signals, pause: float = 0.1) -> Ended:
    """Send signals one after the other, and wait for the end."""
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(pause if number is not numbers[-1] else 0)
    process.wait(10)
    seconds = time.monotonic() - began
    assert process.stdout is not None
    assert process.stderr is not None
    return Ended(
        code=process.returncode, seconds=seconds, out=process.stdout.read(), err=process.stderr.read()
    )


def feed(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()
