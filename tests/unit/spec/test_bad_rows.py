"""What `bad_rows`, `null_keys` and `missing` say of rows that can't be loaded."""

from __future__ import annotations

from fractions import Fraction

import pytest

from syncengine.model.spec import BadRows, Limit
from tests.builders import parsed

STATED = {
    "unless stated": ("", BadRows()),
    "fail": ("bad_rows: fail", BadRows()),
    "quarantine": ("bad_rows: quarantine", BadRows(quarantine=True)),
    "mapping": ("bad_rows: {quarantine: true}", BadRows(quarantine=True)),
    "count": ("bad_rows: {quarantine: true, max: 100}", BadRows(quarantine=True, max=Limit(count=100))),
    "share": (
        "bad_rows: {quarantine: true, max: 1%}",
        BadRows(quarantine=True, max=Limit(share=Fraction(1, 100))),
    ),
}


@pytest.mark.parametrize(("text", "wanted"), STATED.values(), ids=STATED)
def test_bad_rows_are_as_stated(text: str, wanted: BadRows):
    spec = parsed(text)

    assert spec.bad_rows == wanted
    assert spec.quarantines == wanted.quarantine


@pytest.mark.parametrize(
    "text",
    ["null_keys: quarantine", "lookups: {a: {table: t, match: {b: source.c}, missing: quarantine}}"],
    ids=["null-keys", "lookup"],
)
def test_rows_without_a_key_are_kept_apart_by_themselves(text: str):
    spec = parsed(f"conflict_keys: [id]\n{text}")

    assert spec.quarantines
    assert not spec.bad_rows.quarantine
