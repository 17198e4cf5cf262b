"""An error that nobody foresaw is told without secrets, wherever it comes up: no traceback of Python's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import a_spec
from tests.conftest import ROOT

URL = "postgresql://u:s3cr3t%2Fpw@127.0.0.1:1/d"
CRASHING = """
import importlib, os, sys
def boom(*arguments, **more):
    raise RuntimeError("boom " + os.environ["SYNCENGINE_URL"] + " password='s3cr3t/pw' topsecret-value\\nrow: s3cr3t")
module, name = sys.argv.pop(1).split(":")
setattr(importlib.import_module(module), name, boom)
from syncengine.cli import main
main()
"""
LATE = """
import threading, sys
from syncengine.cli import crash
crash.install()
def boom():
    raise RuntimeError("postgresql://u:s3cr3t@h/d")
class Thing:
    def __del__(self): boom()
thread = threading.Thread(target=boom); thread.start(); thread.join()
Thing()
boom()
"""


def run(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "SYNCENGINE_URL": URL, "TOP": "topsecret-value", "PYTHONPATH": str(ROOT)},
        timeout=60,
    )


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("id\n1\n")
    return a_spec(tmp_path, description="${secret:TOP}")


@pytest.mark.parametrize(
    "point",
    [
        "syncengine.spec.load:load_paths",
        "syncengine.spec.load:expand",
        "syncengine.jobs:open_source",
        "syncengine.connect:connect",
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_crash_is_told_without_secrets(point: str, command: str, spec: Path) -> None:
    text = run(CRASHING, point, command, spec, "--log-level", "debug")
    lines = run(CRASHING, point, command, spec, "--format", "json", "--log-format", "json")

    assert (text.returncode, lines.returncode) == (1, 1)
    said = text.stdout + text.stderr + lines.stdout + lines.stderr
    assert "unexpected RuntimeError: boom postgresql://u:***@127.0.0.1:1/d password=***" in text.stderr
    assert "in boom" in text.stderr
    assert "report it" in text.stderr
    assert "s3cr3t" not in said
    assert "Traceback" not in said
    logged = [json.loads(line) for line in lines.stderr.splitlines()]
    assert any("unexpected RuntimeError" in line.get("message", "") for line in logged)
    if "expand" not in point and "load_paths" not in point:
        assert "topsecret" not in said  # it was read by then


def test_crashes_at_the_end_and_in_threads_are_told_without_secrets() -> None:
    done = run(LATE)

    assert done.returncode == 1
    assert done.stderr.count("unexpected RuntimeError: postgresql://u:***@h/d") == 3
    assert "s3cr3t" not in done.stderr
