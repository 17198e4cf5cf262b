"""Defaults and environments of the project file: what a spec takes over, and where their mistakes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import SpecErrors, SyncError
from syncengine.model.spec import Spec
from syncengine.spec.project import Project, load_project


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(project: str, spec: str, env: str | None = None, **environ: str) -> Spec:
    """Return the one spec a.yaml of a project."""
    Path("syncengine.yaml").write_text(project)
    Path("a.yaml").write_text(spec)
    (job,) = syncengine.load(["a.yaml"], environ=environ, env=env)
    return job.spec


def problems(project: str, *specs: str, env: str | None = None) -> list[SyncError]:
    """Return what is wrong with a project and its specs, which are a.yaml, b.yaml …"""
    Path("syncengine.yaml").write_text(project)
    files = [f"{letter}.yaml" for letter, _ in zip("abc", specs, strict=False)]
    for file, text in zip(files, specs, strict=True):
        Path(file).write_text(text)
    with pytest.raises(SpecErrors) as raised:
        syncengine.load(files, environ={}, env=env)
    return list(raised.value.each())


# What a spec takes over


@pytest.mark.parametrize(
    ("defaults", "spec", "expected"),
    [
        pytest.param("mode: insert", "", {"mode": "insert"}, id="what-it-does-not-say"),
        pytest.param(
            "mode: insert", "mode: update\nconflict_keys: [k]", {"mode": "update"}, id="its-own-keys-win"
        ),
        pytest.param("tags: [x]", "tags: [y]", {"tags": ("y",)}, id="lists-are-not-merged"),
        pytest.param("conflict_keys: [a]", "", {"mode": "upsert"}, id="a-key-makes-an-upsert-as-ever"),
        pytest.param(
            "conflict_keys: [a]",
            "conflict_constraint: x",
            {"conflict_keys": (), "conflict_constraint": "x"},
            id="one-way-to-name-the-conflict-target-replaces-the-other",
        ),
        pytest.param("depends_on: [a]", "depends_on: []", {"depends_on": ()}, id="an-empty-list-is-said"),
    ],
)
def test_defaults(defaults: str, spec: str, expected: dict[str, Any]):
    found = loaded(f"defaults: {{{defaults}}}\n", f"source: a.csv\ntarget: t\n{spec}\n")

    assert {name: getattr(found, name) for name in expected} == expected


def test_mappings_merge_key_by_key():
    found = loaded(
        "defaults:\n"
        "  execution: {retries: 2, lock_timeout: 1s}\n"
        "  source: {delimiter: ';', encoding: latin-1}\n"
        "  columns: {at: {expression: now()}, b: x}\n",
        "source: {path: a.csv, encoding: utf-8}\ntarget: t\nexecution: {lock_timeout: 9s}\ncolumns: {b: y}\n",
    )

    assert (found.execution.retries, found.execution.lock_timeout) == (2, "9s")
    assert found.source.options == {"path": "a.csv", "delimiter": ";", "encoding": "utf-8"}
    assert {column.column: column.field for column in found.columns} == {"at": None, "b": "y"}


def test_short_forms_of_source_and_target_merge_as_well():
    found = loaded(
        "connections: {shop: 'service=x'}\ndefaults: {source: {delimiter: ';'}, target: {connection: shop}}\n",
        "source: a.csv\ntarget: public.t\n",
    )

    assert found.source.options == {"path": "a.csv", "delimiter": ";"}
    assert (found.target.connection, str(found.target)) == ("shop", "public.t")


def test_python_mappings_take_defaults_over_and_rows_replace_their_source(monkeypatch: pytest.MonkeyPatch):
    from syncengine.loading import job

    Path("syncengine.yaml").write_text(
        "defaults: {source: {delimiter: ';'}, touch_unchanged: true, conflict_keys: [k]}\n"
    )

    given = job({"target": "t"}, source=[{"k": 1}]).spec
    named = job({"target": "t", "source": "a.csv"}).spec

    assert (given.touch_unchanged, given.source.type) == (True, "rows")
    assert named.source.options == {"path": "a.csv", "delimiter": ";"}


def test_references_in_defaults_are_needed_only_where_they_are_used_and_seen_from_the_project(folder: Path):
    (folder / "owner").write_text("me\n")
    (folder / "specs").mkdir()
    (folder / "syncengine.yaml").write_text(
        "defaults: {owner: '${file:owner}', description: '${UNSET}', execution: {retries: '${N}'}}\n"
    )
    (folder / "specs" / "a.yaml").write_text("source: a.csv\ntarget: t\ndescription: d\n")

    (job,) = syncengine.load(["specs"], environ={"N": "3"})

    assert (job.spec.owner, job.spec.description, job.spec.execution.retries) == ("me", "d", 3)


# Mistakes


@pytest.mark.parametrize(
    ("defaults", "told", "hint"),
    [
        pytest.param(
            "{duplicats: last}", "1:12: unknown key `duplicats` in `defaults`", "`duplicates`", id="key"
        ),
        pytest.param(
            "{merge_keys: [a]}",
            "1:12: unknown key `merge_keys` in `defaults`",
            "`conflict_keys: [",
            id="foreign-key",
        ),
        pytest.param(
            "{mode: merge}", "1:18: `defaults.mode` cannot be `merge`", "`mode: upsert`", id="foreign-mode"
        ),
        pytest.param("{name: a}", "1:12: unknown key `name` in `defaults`", "", id="names-differ"),
        pytest.param(
            "{execution: {retries: x}}",
            "1:33: `defaults.execution.retries` must be an integer, not `x`",
            "",
            id="type",
        ),
        pytest.param(
            "{target: {connection: 'postgresql://u:hunter2@h/d'}}",
            "1:33: a password stands in the file",
            "${secret:NAME}",
            id="password",
        ),
    ],
)
def test_shape_of_defaults_is_checked_even_where_no_spec_takes_them(defaults: str, told: str, hint: str):
    (problem,) = problems(f"defaults: {defaults}\n", "source: a.csv\ntarget: t\nmode: insert\n")

    assert f"{problem.location}: {problem.message}" == f"syncengine.yaml:{told}"
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        pytest.param("where: source.x > 1", "2:10: SQL: there is no relation `source` here", id="expression"),
        pytest.param(
            "source: {delimitre: x}", "2:12: unknown key `delimitre` in `source`", id="option-of-a-source"
        ),
        pytest.param(
            "description: ${UNSET}", "2:16: the environment variable UNSET is not set", id="variable"
        ),
        pytest.param(
            "keep_before_images: true", "2:3: `keep_before_images` is not available yet", id="not-available"
        ),
    ],
)
def test_mistakes_in_defaults_are_told_once_in_the_project_file(defaults: str, told: str):
    upsert = "source: a.csv\ntarget: t\nconflict_keys: [k]\n"

    (problem,) = problems(f"defaults:\n  {defaults}\n", upsert, upsert)

    assert f"{problem.location}: {problem.message}" == f"syncengine.yaml:{told}"
    assert problem.detail == "as a default of a"


# Environments


PROJECT = """
connections: {shop: 'service=base', other: 'service=other'}
embedded: true
defaults: {owner: base, execution: {retries: 1, lock_timeout: 1s}}
environments:
  prod:
    connections: {shop: 'service=prod'}
    embedded: false
    defaults: {execution: {lock_timeout: 9s}}
    allow_functions: [shop.f]
    ledger_schema: engine
    transaction: group
    roots: [..]
    specs: [x]
  test: {}
"""


def project(env: str | None) -> Project:
    Path("syncengine.yaml").write_text(PROJECT)
    return load_project(Path(), {}, env)


def test_an_environment_is_laid_over_the_rest_of_the_file(folder: Path):
    base, prod = project(None), project("prod")

    assert dict(base.connections) == {"shop": "service=base", "other": "service=other"}
    assert dict(prod.connections) == {"shop": "service=prod", "other": "service=other"}
    assert (base.embedded, base.ledger_schema, base.group, base.env) == (True, "syncengine", False, None)
    assert (prod.embedded, prod.ledger_schema, prod.group, prod.env) == (False, "engine", True, "prod")
    assert (base.roots, prod.roots) == ((), (folder.parent,))
    assert (set(base.specs), set(prod.specs)) == (set(), {folder / "x"})
    assert prod.allow_functions == {"shop.f"}


def test_defaults_of_an_environment_merge_with_the_others():
    spec = loaded(PROJECT, "source: a.csv\ntarget: t\n", env="prod")

    assert (spec.owner, spec.execution.retries, spec.execution.lock_timeout) == ("base", 1, "9s")


def test_an_environment_may_be_empty():
    assert project("test").env == "test"


@pytest.mark.parametrize(
    ("text", "env", "hint"),
    [
        pytest.param(PROJECT, "prd", "did you mean `prod`? known: prod, test", id="near"),
        pytest.param(PROJECT, "zzz", "known: prod, test", id="not-near"),
        pytest.param("", "prod", "write `environments: {prod: {…}}` into syncengine.yaml", id="empty-file"),
        pytest.param(
            "roots: []\n", "prod", "write `environments: {prod: {…}}` into syncengine.yaml", id="none"
        ),
    ],
)
def test_unknown_environment(text: str, env: str, hint: str):
    (problem,) = problems(text, "source: a.csv\ntarget: t\n", env=env)

    assert (problem.message, problem.hint) == (f"there is no environment `{env}`", hint)
    assert (problem.code, problem.exit_code) == ("invalid-option", 3)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        pytest.param("conections: {}", "unknown key `conections` in `environments.prod`", id="key"),
        pytest.param(
            "embedded: maybe", "`environments.prod.embedded` must be true or false, not `maybe`", id="type"
        ),
        pytest.param("environments: {}", "unknown key `environments` in `environments.prod`", id="nested"),
        pytest.param(
            "defaults: {mod: x}", "unknown key `mod` in `environments.prod.defaults`", id="defaults"
        ),
        pytest.param(
            "connections: {a: 'postgresql://u:pass1@h/d'}", "a password stands in the file", id="password"
        ),
    ],
)
@pytest.mark.parametrize("env", [None, "prod", "test"])
def test_environments_are_checked_whether_chosen_or_not(environment: str, told: str, env: str | None):
    text = f"environments:\n  test: {{}}\n  prod:\n    {environment}\n"

    (problem,) = problems(text, "source: a.csv\ntarget: t\n", env=env)

    assert (problem.message, problem.location and problem.location.line) == (told, 4)


def test_mistakes_in_a_chosen_environment_have_its_place():
    text = "ledger_schema: fine\nenvironments:\n  prod:\n    ledger_schema: pg_x\n"

    (problem,) = problems(text, "source: a.csv\ntarget: t\n", env="prod")

    assert str(problem.location) == "syncengine.yaml:4:20"


def test_variables_of_an_environment_are_needed_only_where_it_is_chosen():
    text = "ledger_schema: a\nenvironments: {prod: {ledger_schema: '${UNSET}'}}\n"

    assert loaded(text, "source: a.csv\ntarget: t\n").ledger_schema == "a"
    assert [problem.message for problem in problems(text, "source: a.csv\ntarget: t\n", env="prod")] == [
        "the environment variable UNSET is not set"
    ]
