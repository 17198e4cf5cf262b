"""Dependencies: their licences are listed and allowed, and what the audit of them says is taken rightly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import audit, licences
from tests.conftest import ROOT
from tests.licences import Licence

PAGE = ROOT / "docs" / "licences.md"


def listed() -> list[str]:
    """Return the rows of the page's table."""
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][2:]


def test_page_lists_what_is_installed() -> None:
    installed = [one.row() for one in licences.licences()]

    # Older and newer Pythons need a few packages less.
    optional = {row for row in listed() if row.startswith("| typing-extensions ")}
    assert [row for row in listed() if row not in optional or row in installed] == installed


def test_all_licences_are_allowed() -> None:
    assert [one for one in licences.licences() if not one.allowed] == []


@pytest.mark.parametrize(
    ("name", "licence", "allowed"),
    [
        ("click", "BSD-3-Clause", True),
        ("structlog", "MIT OR Apache-2.0", True),
        ("any", "GPL-3.0-only OR MIT", True),
        ("psycopg", "LGPL-3.0-only", True),
        ("another", "LGPL-3.0-only", False),
        ("pglast", "GPL-3.0-or-later", False),
        ("any", "MIT AND GPL-3.0-only", False),
        ("any", "AGPL-3.0-only", False),
        ("any", "unknown", False),
        ("any", "", False),
    ],
)
def test_licence_must_have_been_looked_at(name: str, licence: str, allowed: bool) -> None:
    assert Licence(name=name, licence=licence).allowed == allowed


def answer(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


FINE = {"name": "click", "version": "8.5.1", "vulns": []}
UNKNOWN = {"name": "odd", "skip_reason": "Dependency not found"}
FAULTY = {"name": "pyyaml", "version": "5.3", "vulns": [{"id": "PYSEC-1", "fix_versions": ["5.4"]}]}


@pytest.mark.parametrize(
    ("output", "failed", "words"),
    [
        pytest.param(answer(FINE), False, "1 packages have no known vulnerability", id="none"),
        pytest.param(answer(FINE, UNKNOWN), False, "not known to the service: odd", id="some-unknown"),
        pytest.param(answer(FINE, FAULTY, UNKNOWN), True, "pyyaml 5.3: PYSEC-1, mended in 5.4", id="one"),
        pytest.param(answer(UNKNOWN), False, "not audited", id="all-unknown"),
        pytest.param("", False, "can't be reached", id="no-answer"),
        pytest.param("[]", False, "can't be reached", id="another-answer"),
    ],
)
def test_only_a_known_vulnerability_fails_the_audit(output: str, failed: bool, words: str) -> None:
    verdict = audit.judged(output)

    assert (verdict.failed, words in verdict.text) == (failed, True)
