"""Run one process, and measure it: seconds, CPU, and the memory of it and its children."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.01
# Finding a process's children means looking at all processes: rarely enough not to disturb what is measured.
CHILDREN_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`cpu` is user and system time, `memory` the highest sum of resident bytes; `code` as the shell has it."""

    seconds: float
    cpu: float
    memory: int
    code: int


def run(command: Command, folder: Path, log: Path, limit: float) -> Measure:
    """Run to the end, or kill it after `limit` seconds; what it prints goes to `log`."""
    with (command.stdin or Path(os.devnull)).open("rb") as fed, log.open("wb") as told:
        began = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            cwd=folder,
            env={**os.environ, **command.environment},
            stdin=fed,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        killer = threading.Timer(limit, _kill, [process.pid])
        killer.start()
        watch = _Watch(process.pid)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            killer.cancel()
            watch.over.set()
            _kill(process.pid)  # what it may have left behind
    watch.join()
    cpu = usage.ru_utime + usage.ru_stime
    return Measure(seconds=seconds, cpu=cpu, memory=watch.peak, code=process.returncode)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its children until `over` is set."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.peak = 0
        self._pid = pid

    def run(self) -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._pid)
            children: list[psutil.Process] = []
            for turn in count(1):
                self.peak = max(self.peak, sum(map(_resident, (process, *children))))
                if self.over.wait(SAMPLE_SECONDS):
                    return
                if turn % CHILDREN_EVERY == 0:
                    children = process.children(recursive=True)


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
