"""Plug-ins are found by file name, and listing them imports none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from syncengine import registry
from syncengine.errors import OptionError


def test_plug_ins_are_found_by_file_name() -> None:
    assert {"csv", "jsonl", "rows", "tsv"} <= set(registry.names("sources"))
    assert not [name for name in registry.names("sources") if name.startswith("_")]


def test_a_plug_in_is_got_by_name() -> None:
    assert registry.source("csv").name == "csv"
    assert "csv" in registry.source("csv").extensions


def test_listing_imports_no_plug_in() -> None:
    code = (
        "import sys; from syncengine import registry; "
        "[registry.names(room) for room in ('sources', 'modes', 'strategies', 'views')]; "
        "print([name for name in sys.modules if name.startswith(('syncengine.sources', 'syncengine.modes'))])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(OptionError) as raised:
        registry.source("cvs")

    assert raised.value.message == "there is no source type `cvs`"
    assert raised.value.hint == "did you mean csv?"
    assert "jsonl" in (raised.value.detail or "")
