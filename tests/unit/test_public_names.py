"""The public face: the documented names are those that there are, and importing them is cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.spec.schema import project_schema, spec_schema

DOCS = Path(__file__).parents[2] / "docs"
# What takes a moment to import, and is needed by some calls only.
HEAVY = ("psycopg", "yaml", "jsonschema", "structlog", "rich", "postgast", "zstandard", "msgspec", "click")


def test_public_names_are_the_documented_ones():
    assert sorted(first_cells("python.md")) == sorted(syncengine.__all__)


def test_public_names_exist():
    assert [name for name in syncengine.__all__ if not hasattr(syncengine, name)] == []


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, syncengine; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.splitlines()).isdisjoint(HEAVY)


@pytest.mark.parametrize("schema", [spec_schema, project_schema])
def test_every_key_is_documented(schema: Callable[[], dict[str, Any]]):
    assert set(schema()["properties"]) <= set(first_cells("spec.md"))


def first_cells(page: str) -> list[str]:
    """Return the words set as code in the first cell of each row of a page's tables."""
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [word for cell in rows for word in re.findall(r"`(\w+)`", cell)]
