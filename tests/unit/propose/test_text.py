"""The text of a proposed spec: valid, with what was found in comments, for any header and path."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.model.spec import Spec
from syncengine.propose import Proposal, propose
from syncengine.propose.text import written
from syncengine.spec.load import load_paths
from syncengine.spec.positions import documents
from syncengine.spec.project import Project
from tests.builders import ODD_HEADERS

# What a YAML file can hold, once quoted.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(TEXTS)
def test_any_text_is_read_back_as_it_was(text: str):
    inside, alone = documents(
        f"[{written(text)}, {{{written(text)}: 1}}]\n---\n{written(text)}\n", file="t.yaml"
    )
    read = text.replace("${", "$${")

    assert inside.value == [read, {read: 1}]
    assert alone.value == read


def proposed(folder: Path, content: str | bytes, name: str = "rows.csv", **more: str) -> Proposal:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return propose(
        folder / name,
        folder=folder,
        project=Project(folder=folder),
        environ={},
        schema=folder / "spec.json",
        **more,
    )


def loaded(folder: Path, proposal: Proposal) -> Spec:
    (folder / "rows.yaml").write_text(proposal.text, encoding="utf-8")
    (spec,) = load_paths([folder / "rows.yaml"], Project(folder=folder), {})
    return spec


def test_proposal_says_what_was_found(tmp_path: Path):
    proposal = proposed(tmp_path, "Code,E-Mail,joined\nA1,a@x.org,2026-01-02\nA2,b@x.org,\n")

    assert proposal.text == (
        "# yaml-language-server: $schema=spec.json\n"
        "# Proposed by `syncengine init --from`: 2 rows; code is unique and never empty; so is e_mail.\n"
        "source: rows.csv\n"
        "target:\n"
        "  table: public.rows\n"
        "  create: true  # if it is missing, with these columns\n"
        "conflict_keys: [code]\n"
        "columns:\n"
        "  code: {field: Code, type: text}\n"
        "  e_mail: {field: E-Mail, type: text}\n"
        "  joined: {type: date}\n"
    )


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_proposal_for_an_odd_header_is_valid_and_has_every_field(header: str, tmp_path: Path):
    width = len(next(csv.reader(io.StringIO(header))))

    spec = loaded(tmp_path, proposed(tmp_path, f"{header}\n" + ",".join(["1"] * width) + "\n"))

    assert len(spec.columns) == width
    assert len(spec.conflict_keys) == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_proposal_for_any_header_is_valid(tmp_path_factory: pytest.TempPathFactory, header: list[str]):
    folder = tmp_path_factory.mktemp("any", numbered=True)
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, range(len(header))])

    spec = loaded(folder, proposed(folder, text.getvalue()))

    assert len(spec.columns) == len(header)


@pytest.mark.parametrize(
    "name", ["a b.csv", "${HOME}.csv", "[a]*.csv", "~x.csv", "-x.csv", "ü.csv", "a: #b.csv"]
)
def test_path_with_odd_letters_is_read(name: str, tmp_path: Path):
    spec = loaded(tmp_path, proposed(tmp_path, "id\n1\n", name))

    assert (tmp_path / str(spec.source.options["path"])).samefile(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        pytest.param("a;b\n1;2\n", {"delimiter": ";"}, id="semicolon"),
        pytest.param("a\tb\n1\t2\n", {"delimiter": "tab"}, id="tab"),
        pytest.param("a;b,c\n1;2,5\n", {}, id="comma-in-all-rows"),
        pytest.param("a;b;c, d\n1;2;3\n", {"delimiter": ";"}, id="comma-in-the-header-alone"),
        pytest.param('a,b\n1,"x;y"\n', {}, id="semicolon-in-quotes"),
        pytest.param("größe\n1\n".encode("cp1252"), {"encoding": "cp1252"}, id="cp1252"),
        pytest.param("größe\n1\n".encode("utf-16"), {"encoding": "utf-16"}, id="utf-16"),
        pytest.param(
            "größe;größe\r\n1;2\r\n".encode("cp1252"),
            {"encoding": "cp1252", "delimiter": ";", "header": ["größe", "größe_2"], "skip_lines": 1},
            id="all-at-once",
        ),
    ],
)
def test_file_that_is_no_plain_csv_is_read_as_what_it_is(
    content: str | bytes, options: dict[str, object], tmp_path: Path
):
    spec = loaded(tmp_path, proposed(tmp_path, content))

    assert {key: value for key, value in spec.source.options.items() if key != "path"} == options


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param("a,b\n1,1\n1,1\n", "no column and no two columns are unique", id="no-key"),
        pytest.param("a,b\n", "0 rows; no row, so no key can be told", id="no-row"),
    ],
)
def test_without_a_key_all_rows_are_inserted_and_a_comment_says_why(rows: str, says: str, tmp_path: Path):
    proposal = proposed(tmp_path, rows)

    assert loaded(tmp_path, proposal).mode == "insert"
    assert says in proposal.text
    assert "`conflict_keys: [column, …]`" in proposal.text


def test_target_is_the_one_that_is_asked_for(tmp_path: Path):
    spec = loaded(tmp_path, proposed(tmp_path, "id\n1\n", target='shop."Odd T"'))

    assert (spec.target.schema, spec.target.table) == ("shop", "Odd T")
