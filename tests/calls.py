"""The command line called within the test's own process: what it printed, and the exit code it would leave with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncengine.cli import _code


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def spec(self) -> dict[str, Any]:
        """Return the only spec of the document."""
        (found,) = self.document["specs"]
        return dict(found)


Call = Callable[..., Called]


def caller(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return what calls a command, such as `call("run", "t.yaml")`."""

    def call(*arguments: str | Path) -> Called:
        capsys.readouterr()
        code = _code([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Called(code=code, out=said.out, err=said.err)

    return call
