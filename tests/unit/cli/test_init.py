"""syncengine init without a server: what it writes, what it says, and that it overwrites nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from syncengine.cli import _code
from syncengine.cli.starter import PROJECT_SCHEMA, SPEC_SCHEMA
from syncengine.spec.editor import project_schema_for_editors, spec_schema_for_editors

FILES = [
    ".gitignore",
    PROJECT_SCHEMA,
    SPEC_SCHEMA,
    "data/products.csv",
    "specs/products.yaml",
    "syncengine.yaml",
]
MODELINE = re.compile(r"# yaml-language-server: \$schema=(.+)")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the working folder, without a database in the environment."""
    for name in ("CI", "SYNCENGINE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_example_is_written_into_a_new_folder_and_valid(here: Path, capsys: pytest.CaptureFixture[str]):
    code = _code(["init", "a/shop"])

    said = capsys.readouterr().out
    assert (code, files(here / "a" / "shop")) == (0, FILES)
    assert all(f"wrote a/shop/{name}\n" in said for name in FILES)
    assert "\n  cd a/shop\n" in said
    assert _code(["validate", "a/shop"]) == 0


@pytest.mark.parametrize("name", ["specs/products.yaml", "syncengine.yaml"])
def test_first_line_names_a_schema_that_is_there(name: str, here: Path):
    _code(["init"])

    found = MODELINE.fullmatch((here / name).read_text(encoding="utf-8").splitlines()[0])
    assert found is not None
    schema = json.loads((here / name).parent.joinpath(found[1]).read_text(encoding="utf-8"))
    assert schema in (spec_schema_for_editors(), project_schema_for_editors())


def test_commented_keys_of_the_project_file_are_valid(here: Path, monkeypatch: pytest.MonkeyPatch):
    _code(["init"])
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://db.example.com/warehouse")
    text = (here / "syncengine.yaml").read_text(encoding="utf-8")
    (here / "syncengine.yaml").write_text(
        re.sub(r"^# (connections:|  warehouse:)", r"\1", text, flags=re.MULTILINE)
    )
    spec = (here / "specs" / "products.yaml").read_text(encoding="utf-8")
    (here / "specs" / "products.yaml").write_text(spec.replace("create:", "connection: warehouse\n  create:"))

    assert _code(["validate", "specs"]) == 0


@pytest.mark.parametrize("name", [name for name in FILES if name != ".gitignore"])
def test_nothing_is_written_where_one_of_the_files_is_there(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
):
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).write_text("mine")

    code = _code(["init"])

    said = capsys.readouterr()
    assert (code, said.out) == (3, "")
    assert said.err.startswith(f"{name} exists; nothing was written [invalid-option]\n")
    assert files(here) == [name]
    assert (here / name).read_text() == "mine"


def test_all_files_that_are_there_are_named(here: Path, capsys: pytest.CaptureFixture[str]):
    _code(["init"])
    capsys.readouterr()

    assert _code(["init"]) == 3
    said = capsys.readouterr().err.splitlines()[0]
    assert [name for name in FILES if name in said] == FILES[1:]


def test_own_gitignore_is_kept_and_said_to_be(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / ".gitignore").write_text("*.log\n")

    assert _code(["init"]) == 0
    assert "kept  .gitignore: see that it has the line .syncengine/\n" in capsys.readouterr().out
    assert (here / ".gitignore").read_text() == "*.log\n"


def test_next_steps_say_which_database_it_will_be(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    _code(["init", "one"])
    own = capsys.readouterr().out
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/shop")
    _code(["init", "two"])
    named = capsys.readouterr().out

    assert "in a PostgreSQL of its own" in own
    assert "in the database of $DATABASE_URL" in named
    assert "db psql" not in named


def test_spec_for_a_file_is_written_valid_and_never_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    (here / "Users 2026.csv").write_text("id,name\n1,a\n")

    first = _code(["init", "--from", "Users 2026.csv", "specs"])
    text = (here / "specs" / "users_2026.yaml").read_text(encoding="utf-8")
    second = _code(["init", "--from", "Users 2026.csv", "specs"])

    said = capsys.readouterr()
    assert (first, second) == (0, 3)
    assert "1 row of Users 2026.csv; id is unique and never empty; so is name.\n" in said.out
    assert "specs/users_2026.yaml exists" in said.err
    assert files(here) == [SPEC_SCHEMA, "Users 2026.csv", "specs/users_2026.yaml"]
    assert text.startswith(f"# yaml-language-server: $schema=../{SPEC_SCHEMA}\n")
    assert "\nsource: ../Users 2026.csv\n" in text
    assert _code(["validate", "specs"]) == 0


def test_spec_in_a_project_uses_the_schema_that_is_there(here: Path):
    _code(["init", "shop"])
    (here / "shop" / SPEC_SCHEMA).write_text("{}")
    (here / "shop" / "data" / "users.csv").write_text("id\n1\n")

    code = _code(["init", "--from", "shop/data/users.csv", "shop/specs"])

    assert code == 0
    assert (here / "shop" / SPEC_SCHEMA).read_text() == "{}"
    assert (here / "shop" / "specs" / "users.yaml").read_text().splitlines()[0].endswith(f"=../{SPEC_SCHEMA}")


ROWS = "id,name\n1,a\n"
REFUSED = {
    "no-such-file": (
        ["--from", "uers.csv"],
        1,
        "uers.csv: no such file: uers.csv",
        "did you mean users.csv?",
    ),
    "unknown-extension": (["--from", "users.dat"], 3, "tells no source type", "known: .arrow, .csv"),
    "outside": (["--from", "../outside.csv"], 3, "leads out of the project", "`roots:` in syncengine.yaml"),
    "standard-input": (["--from", "-"], 3, "- is no file", "save them to a file"),
    "url": (["--from", "https://example.com/a.csv"], 3, "is no file", "save them to a file"),
    "ragged": (["--from", "ragged.csv"], 1, "ragged.csv:3: the record has 1 field", "check delimiter"),
    "nameless": (["--from", "nameless.jsonl"], 1, "a field has an empty name", "give the field a name"),
    "wrong-target": (["--from", "users.csv", "--target", "a.b.c"], 3, "`a.b.c` has 3 parts", "schema.table"),
    "target-alone": (["--target", "a"], 3, "--target goes with --from", "--from FILE"),
    "folder-is-a-file": (["users.csv"], 3, "cannot write users.csv/", "name a folder"),
}


@pytest.mark.parametrize(("arguments", "exit_code", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_done_is_said_and_leaves_nothing(
    arguments: list[str],
    exit_code: int,
    message: str,
    hint: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    (here / "work").mkdir()
    monkeypatch.chdir(here / "work")
    there = {
        "users.csv": ROWS,
        "users.dat": ROWS,
        "../outside.csv": ROWS,
        "ragged.csv": "a,b\n1,2\n3\n",
        "nameless.jsonl": '{"": 1}\n',
    }
    for name, text in there.items():
        Path(name).write_text(text)
    before = files(here)

    code = _code(["init", *arguments])

    said = capsys.readouterr()
    assert (code, said.out, files(here)) == (exit_code, "", before)
    assert message in said.err
    assert hint in said.err
    assert "<spec>" not in said.err
