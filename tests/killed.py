"""A run in a process of its own that kills itself at an event: as dead as kill -9 makes it, and at a known place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT
from tests.servers import Database

_WORKER = """
import json, os, signal, sys
import syncengine
spec, url, kind, unit, number = json.loads(sys.argv[1])
seen = 0
def emit(event):
    global seen
    if type(event).__name__ == kind and unit in ("", getattr(event, "unit", "")):
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
syncengine.run(spec, connection=url, emit=emit)
"""


def killed_at(db: Database, spec: dict[str, Any], kind: str, unit: str = "", number: int = 1) -> None:
    """Run a spec until the event of this class, and of this unit if one is named, comes for so many times."""
    arguments = json.dumps([spec, db.url, kind, unit, number])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", _WORKER, arguments], env=environment, timeout=60)
    assert done.returncode == -signal.SIGKILL
