"""Names and values as SQL text: whatever they hold, they stay names and values."""

from __future__ import annotations

from collections import Counter

import postgast
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from syncengine import planner, registry
from syncengine.model.facts import CsvFormat
from syncengine.model.spec import KeySpec, Returning
from syncengine.model.steps import InsertRows, Step
from syncengine.sql import names, staging
from syncengine.values import replace
from tests.builders import a_column, a_table, a_task, an_index, parsed

NASTY = st.sampled_from(
    ['"', "'", "%", "%s", "{", "}", "{0}", ".", ";", "--", "/*", "\\", "$1", "$$", " ", "\n", "\t"]
)
LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
NAME = (
    st.lists(NASTY | LETTERS, min_size=1, max_size=12)
    .map("".join)
    .filter(lambda name: len(name.encode()) <= 63)
)
LONGEST = "ä" * 31 + "x"


@given(NAME)
def test_any_name_comes_back_from_its_quoted_form(name: str):
    quoted = names.ident(name).as_string()

    assert quoted[0] + quoted[-1] == '""'
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")
    assert quoted[1:-1].replace('""', '"') == name


@pytest.mark.parametrize("name", ["a\0b", LONGEST + "x"], ids=["nul", "64-bytes"])
def test_what_postgresql_would_cut_is_no_name(name: str):
    with pytest.raises(ValueError, match="not a PostgreSQL name"):
        names.ident(name)


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        pytest.param("qty", [], "qty", id="as-it-is"),
        pytest.param("qty", ["qty"], "qty_2", id="taken"),
        pytest.param("qty", ["qty", "qty_2"], "qty_3", id="taken-twice"),
        pytest.param("xmin", [], "xmin_2", id="system-column"),
        pytest.param(LONGEST + "y", [], LONGEST, id="cut"),
        pytest.param(LONGEST + "y", [LONGEST], "ä" * 30 + "_2", id="cut-and-taken"),
        pytest.param("\0", [], "_", id="nothing-left"),
    ],
)
def test_names_of_staging_columns(name: str, taken: list[str], expected: str):
    assert names.fit(name, taken) == expected


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=8))
def test_names_of_staging_columns_are_valid_and_differ(fields: list[str]):
    taken: list[str] = []
    for field in fields:
        taken.append(names.fit(field, taken))

    assert len(set(taken)) == len(taken)
    assert all(names.ident(name) for name in taken)


def statements(key: str, other: str, schema: str, method: str) -> list[str]:
    """Return every statement of an upsert into a table with these names."""
    columns = (a_column("", name=key, type="integer", base_type="integer"), a_column("", name=other))
    index = an_index(key, name=other, expressions=(False,))
    table = a_table(*columns, schema=schema, name=other, indexes=(index,))
    keys = (KeySpec(text=key, name=key, expression=None),)
    spec = parsed(f"mode: upsert\nconflict_constraint: x\nduplicates: last\nexecution: {{method: {method}}}")
    spec = replace(
        spec,
        conflict_constraint=None,
        conflict_keys=keys,
        returning=Returning(columns=(key, other), path="out.csv", format="csv", rows="all"),
    )
    plan = planner.plan(a_task(spec, table), registry.mode("upsert"), registry.strategies(), connection="c")
    return [_whole(step) for step in plan.steps]


def _whole(step: Step) -> str:
    values = staging.values(1, len(step.columns)).as_string() if isinstance(step, InsertRows) else ""
    return step.sql + values


def shape(statement: str) -> Counter[str]:
    """Return how many nodes of each kind a statement's tree has."""
    return Counter(type(node).__name__ for _, node in postgast.walk(postgast.parse(statement)))


PLAIN = {method: [shape(one) for one in statements("k", "o", "s", method)] for method in ("rows", "staged")}


@settings(max_examples=60, deadline=None)
@given(NAME, NAME, NAME, st.sampled_from(["rows", "staged"]))
def test_no_name_changes_what_a_statement_is(key: str, other: str, schema: str, method: str):
    assume(key != other)

    assert [shape(one) for one in statements(key, other, schema, method)] == PLAIN[method]


MARK = st.characters(codec="ascii", exclude_characters="\0\r\n")


@given(MARK, MARK, MARK, st.text(alphabet=LETTERS, max_size=5))
def test_marks_of_a_csv_stay_literals(delimiter: str, quote: str, escape: str, null: str):
    form = CsvFormat(delimiter=delimiter, quote=quote, escape=escape, null=null)

    statement = staging.copy_in(("s", "t"), ["a"], form).as_string()

    assert shape(statement) == shape(staging.copy_in(("s", "t"), ["a"], CsvFormat()).as_string())
