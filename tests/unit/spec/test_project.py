"""syncengine.yaml: found above the spec, read as strictly as a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import SpecError, SpecErrors
from syncengine.redact import redact
from syncengine.spec.load import load_paths
from syncengine.spec.project import Project, load_project, project_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _load(folder: Path, text: str, **environ: str) -> Project:
    (folder / "syncengine.yaml").write_text(text)
    return load_project(folder, environ)


def test_all_keys_are_read(folder: Path) -> None:
    project = _load(
        folder,
        "connections: {shop: 'postgresql://u:${secret:P}@h/d'}\nembedded: true\nroots: [../data, /srv]\n"
        "allow_functions: [Shop.Clean, pg_catalog.random]\nledger_schema: Engine\n",
        P="hunter-four",
    )

    assert project.folder == folder
    assert project.file == folder / "syncengine.yaml"
    assert project.connections["shop"] == "postgresql://u:hunter-four@h/d"
    assert project.embedded
    assert project.roots == (folder.parent / "data", Path("/srv"))
    assert project.allow_functions == {"shop.clean", "pg_catalog.random"}
    assert project.ledger_schema == "engine"
    assert redact("hunter-four") == "***"


def test_an_empty_file_means_all_defaults(folder: Path) -> None:
    project = _load(folder, "# nothing\n")

    assert (dict(project.connections), project.embedded, project.ledger_schema) == ({}, False, "syncengine")


def test_a_connections_variable_is_needed_only_by_who_uses_it(folder: Path) -> None:
    project = _load(folder, "connections:\n  a: ${A}\n  b: postgresql://b\n")

    assert "a" in project.connections
    assert project.connections["b"] == "postgresql://b"
    with pytest.raises(SpecError, match="the environment variable A is not set") as raised:
        project.connections["a"]
    assert str(raised.value.location) == "syncengine.yaml:2:6"


def test_a_connection_may_read_a_password_from_a_root(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "password").write_text("hunter-five\n")
    (folder / "project").mkdir()

    project = _load(
        folder / "project",
        "roots: [../run]\nconnections: {a: 'postgresql://u:${file:../run/password}@h/d'}\n",
    )

    assert project.connections["a"] == "postgresql://u:hunter-five@h/d"


def test_it_is_found_above_the_spec_then_above_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "one" / "specs").mkdir(parents=True)
    (folder / "two").mkdir()
    (folder / "one" / "syncengine.yaml").write_text("ledger_schema: one\n")

    assert project_folder(folder / "one" / "specs") == folder / "one"
    assert load_project(folder / "one" / "specs", {}).ledger_schema == "one"
    monkeypatch.chdir(folder / "one")
    assert load_project(folder / "two", {}).ledger_schema == "one"


def test_without_a_file_it_is_the_working_folder_or_the_specs_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in" / "specs").mkdir(parents=True)
    (folder / "out").mkdir()
    monkeypatch.chdir(folder / "in")

    assert load_project(folder / "in" / "specs", {}).folder == folder / "in"
    assert load_project(folder / "out", {}).folder == folder / "out"


def test_a_spec_outside_the_project_may_read_its_own_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "syncengine.yaml").write_text("ledger_schema: x\n")
    (folder / "a.yaml").write_text("source: a.csv\ntarget: t\n")
    monkeypatch.chdir(folder / "in")

    spec = load_paths([folder / "a.yaml"], load_project(folder, {}), {})[0]

    assert (spec.roots, spec.ledger_schema) == ((str(folder),), "x")


def test_roots_let_a_spec_read_further(folder: Path) -> None:
    project = _load(folder, "roots: [../data]\n")
    (folder / "a.yaml").write_text("source: ../data/a.csv\ntarget: t\n")

    assert load_paths([folder / "a.yaml"], project, {})[0].roots == (str(folder), str(folder.parent / "data"))


def test_a_specs_connection_is_one_of_the_project(folder: Path) -> None:
    project = _load(folder, "connections: {shop: '${UNSET}'}\n")
    (folder / "a.yaml").write_text("source: a.csv\ntarget: {table: t, connection: shpo}\n")
    (folder / "b.yaml").write_text("source: a.csv\ntarget: {table: t, connection: shop}\n")

    with pytest.raises(SpecErrors) as raised:
        load_paths([folder / "a.yaml"], project, {})

    assert raised.value.hint == "did you mean `shop`?"
    assert load_paths([folder / "b.yaml"], project, {})[0].target.connection == "shop"


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        pytest.param(
            "conections: {}\n",
            "1:1: unknown key `conections`",
            "did you mean `connections`?",
            id="unknown-key",
        ),
        pytest.param(
            "embedded: maybe\n", "1:11: `embedded` must be true or false, not `maybe`", None, id="type"
        ),
        pytest.param(
            "a: 1\na: 2\n", "2:1: the key `a` is there twice", "first at syncengine.yaml:1:1", id="twice"
        ),
        pytest.param(
            "connections: {a: 'postgresql://u:hunter2@h/d'}\n",
            "1:18: a password stands in the file",
            "write ${secret:NAME} in its place, and set that environment variable; a PostgreSQL password may"
            " also stand in ~/.pgpass or in a service file, with `service=NAME`",
            id="password",
        ),
        pytest.param(
            "allow_functions: [clean]\n",
            "1:19: the function `clean` needs its schema",
            "write schema.clean, or pg_catalog.clean for a built-in function",
            id="function",
        ),
        pytest.param(
            "ledger_schema: pg_x\n",
            "1:16: the schema `pg_x` belongs to the server",
            None,
            id="reserved-schema",
        ),
        pytest.param("[a]\n", "1:1: a project file must be a mapping", None, id="list"),
        pytest.param("embedded: true\n---\na: 1\n", "3:1: a project file is one document", None, id="two"),
        pytest.param("roots: [a\n", "2:1: not YAML: did not find expected ',' or ']'", None, id="not-yaml"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(folder: Path, text: str, told: str, hint: str | None) -> None:
    with pytest.raises(SpecErrors) as raised:
        _load(folder, text)

    assert f"{raised.value.location}: {raised.value.message}" == f"syncengine.yaml:{told}"
    assert raised.value.hint == hint
