"""YAML text -> Spec: every problem at once, each at its place with the word that mends it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.errors import Location, NotAvailable, SpecErrors, SyncError
from syncengine.model.spec import (
    AllColumns,
    Assign,
    Duplicates,
    Execution,
    Keep,
    SourceSpec,
    Spec,
    TargetSpec,
)
from syncengine.spec.load import load_mapping, load_paths, load_text
from syncengine.spec.project import Project

FIVE_LINES = """\
source: data/users.csv
target: public.users
conflict_keys: [email]
update_columns: [name, updated_at]
where: target.updated_at < excluded.updated_at
"""
HERE = Path("/project")
UPSERT = "source: a.csv\ntarget: t\nconflict_keys: [id]\n"
INSERT = "source: a.csv\ntarget: t\n"


def _load(text: str, environ: Mapping[str, str] | None = None, project: Project | None = None) -> Spec:
    found = project or Project(folder=HERE)
    return load_text(text, file="s.yaml", folder=HERE, project=found, environ=environ or {})[0]


def _problems(text: str, environ: Mapping[str, str] | None = None) -> tuple[SyncError, ...]:
    with pytest.raises(SpecErrors) as raised:
        _load(text, environ)
    return raised.value.each()


def _told(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    return [f"{problem.location}: {problem.message}" for problem in _problems(text, environ)]


def _hint(text: str, environ: Mapping[str, str] | None = None) -> str | None:
    return _problems(text, environ)[0].hint


def test_five_lines_are_enough() -> None:
    spec = _load(FIVE_LINES)

    assert spec.name == "s"
    assert spec.mode == "upsert"
    assert spec.source == SourceSpec(type="csv", options={"path": "data/users.csv"})
    assert spec.target == TargetSpec(schema="public", table="users")
    assert [key.name for key in spec.conflict_keys] == ["email"]
    assert spec.update_columns == (Assign(column="name"), Assign(column="updated_at"))
    assert spec.where is not None
    assert (spec.folder, spec.roots, spec.ledger_schema) == ("/project", ("/project",), "syncengine")


def test_marks_tell_where_each_value_stands() -> None:
    spec = _load(FIVE_LINES)

    assert {
        pointer: str(spec.mark(pointer)) for pointer in ("/target/table", "/update_columns/1", "/where")
    } == {
        "/target/table": "s.yaml:2:9",
        "/update_columns/1": "s.yaml:4:24",
        "/where": "s.yaml:5:8",
    }


def test_updated_columns_are_marked_by_their_number_in_every_form() -> None:
    mapped = _load(UPSERT + "update_columns: {a: keep, b: now()}\n")
    listed = _load(UPSERT + "update_columns: [{a: keep, b: now()}, c]\n")

    assert [str(mapped.mark(f"/update_columns/{n}")) for n in (0, 1)] == ["s.yaml:4:21", "s.yaml:4:30"]
    assert [str(listed.mark(f"/update_columns/{n}")) for n in (1, 2)] == ["s.yaml:4:31", "s.yaml:4:39"]


def test_a_quoted_columns_mark_is_found_by_its_name() -> None:
    spec = _load(INSERT + "columns:\n  '\"A/b\"': x\n")

    assert spec.columns[0].column == "A/b"
    assert str(spec.mark("/columns/A/b")) == "s.yaml:4:12"


def test_every_problem_is_told_in_order_of_its_place() -> None:
    text = """\
sourc: data/users.csv
target: a.b.c
mode: upsret
columns: {a: {expresion: x}}
where: target.a < source.b
keep_before_images: true
duplicates: lst
execution: {retries: many}
"""
    assert _told(text) == [
        "s.yaml:1:1: unknown key `sourc`",
        "s.yaml:1:1: the key `source` is missing",
        "s.yaml:2:9: `a.b.c` has 3 parts",
        "s.yaml:3:7: `mode` cannot be `upsret`",
        "s.yaml:4:15: unknown key `expresion` in `columns.a`",
        "s.yaml:5:19: SQL: there is no relation `source` here",
        "s.yaml:6:1: `keep_before_images` is not available yet",
        "s.yaml:7:13: `duplicates` cannot be `lst`",
        "s.yaml:8:22: `execution.retries` must be an integer, not `many`",
    ]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        pytest.param(
            "sorce: a.csv\n" + INSERT,
            "1:1",
            "unknown key `sorce`",
            "did you mean `source`?",
            id="nearest-key",
        ),
        pytest.param(
            INSERT + "mode: upsrt\n",
            "3:7",
            "`mode` cannot be `upsrt`",
            "did you mean `upsert`?",
            id="nearest-value",
        ),
        pytest.param(
            UPSERT + "where: 12\n",
            "4:8",
            "`where` must be a text or true or false, not `12`",
            'quote it: "12"',
            id="number-for-text",
        ),
        pytest.param(
            INSERT + "conflict_keys: id\n",
            "3:16",
            "`conflict_keys` must be a list, not `id`",
            "write [id]",
            id="text-for-list",
        ),
        pytest.param(
            UPSERT + "conflict_where:\n",
            "4:16",
            "`conflict_where` has no value",
            "write a text or true or false, or leave the key out",
            id="no-value",
        ),
        pytest.param(
            INSERT + "conflict_keys: []\n", "3:16", "`conflict_keys` is empty", None, id="empty-list"
        ),
        pytest.param(INSERT + "version: 2\n", "3:10", "`version` cannot be `2`", "write 1", id="version"),
        pytest.param(
            INSERT + "version: '1'\n", "3:10", "`version` cannot be `1`", "write 1", id="version-as-text"
        ),
        pytest.param("target: t\n", "1:1", "the key `source` is missing", None, id="no-source"),
        pytest.param("source: a.csv\n", "1:1", "the key `target` is missing", None, id="no-target"),
        pytest.param(
            INSERT + "execution: {lock_timeout: 5}\n",
            "3:27",
            "`execution.lock_timeout` must be a text, not `5`",
            "write a number with us, ms, s, min, h or d, such as `5s`",
            id="duration-without-unit",
        ),
        pytest.param(
            INSERT + "execution: {statement_timeout: 5 seconds}\n",
            "3:32",
            "`execution.statement_timeout` cannot be `5 seconds`",
            "write a number with us, ms, s, min, h or d, such as `5s`",
            id="duration-with-a-wrong-unit",
        ),
        pytest.param(
            INSERT + "execution: {lock_timeout: 25d}\n",
            "3:27",
            "`25d` is too long",
            "at most 24d",
            id="endless-duration",
        ),
        pytest.param(
            INSERT + "execution: {retries: -1}\n",
            "3:22",
            "`execution.retries` cannot be -1",
            "at least 0",
            id="negative",
        ),
        pytest.param(
            "source: a.csv\ntarget: {tabel: t}\n",
            "2:9",
            "target: the key `table` is missing",
            None,
            id="nested-missing",
        ),
        pytest.param("- a\n", "1:1", "a spec must be a mapping of keys to values", None, id="list"),
        pytest.param(
            "# nothing\n",
            "",
            "there is no spec in the file",
            "a spec has at least `source:` and `target:`",
            id="empty",
        ),
        pytest.param(
            INSERT + "target: u\n",
            "3:1",
            "the key `target` is there twice",
            "first at s.yaml:2:1",
            id="twice",
        ),
    ],
)
def test_a_wrong_shape_is_told_with_place_and_hint(
    text: str, place: str, message: str, hint: str | None
) -> None:
    problem = _problems(text)[0]

    assert str(problem.location) == f"s.yaml:{place}".rstrip(":")
    assert (problem.message, problem.hint) == (message, hint)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("primary_key", "conflict_keys"),
        ("unique_key", "conflict_keys"),
        ("merge_keys", "conflict_keys"),
        ("upsert_key", "conflict_keys"),
        ("key_properties", "conflict_keys"),
        ("pk.fields", "conflict_keys"),
        ("write_disposition", "mode: insert"),
        ("incremental-strategy", "mode: insert"),
        ("insert.mode", "mode: insert"),
        ("destination_sync_mode", "mode: insert"),
        ("update_key", "incremental"),
        ("cursor_field", "incremental"),
        ("truncate", "mode: replace"),
        ("overwrite", "mode: replace"),
        ("full-refresh", "mode: replace"),
        ("scd2", "mode: history"),
        ("merge", "mode: upsert"),
        ("append", "mode: insert"),
        ("insert_ignore", "mode: ignore"),
        ("delete_missing", "mode: mirror"),
        ("on_error", "bad_rows"),
        ("on_bad_row", "bad_rows"),
        ("chunk_size", "chunk_rows"),
        ("pre_sql", "before"),
        ("post_sql", "after"),
        ("dest", "target"),
        ("destination", "target"),
        ("table", "target"),
        ("into", "target"),
        ("object", "target"),
        ("from", "source"),
        ("stream", "source"),
        ("merge_update_columns", "update_columns"),
        ("update_condition", "where"),
        ("Primary-Key", "conflict_keys"),
    ],
)
def test_another_tools_key_gets_the_word_used_here(key: str, word: str) -> None:
    assert f"`{word}" in (_hint(f"{key}: x\n{INSERT}") or "") or word in (_hint(f"{key}: x\n{INSERT}") or "")


@pytest.mark.parametrize(
    ("mode", "word"),
    [
        ("merge", "upsert"),
        ("append", "insert"),
        ("insert_ignore", "ignore"),
        ("full-refresh", "replace"),
        ("truncate", "replace"),
        ("overwrite", "replace"),
        ("scd2", "history"),
        ("delete+insert", "upsert"),
    ],
)
def test_another_tools_mode_gets_the_mode_used_here(mode: str, word: str) -> None:
    assert _hint(f"{UPSERT}mode: {mode}\n") == f"write `mode: {word}`"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("source: {path: a.csv, sep: x}\ntarget: t\n", "delimiter"),
        ("source: {path: a.csv, skiprows: 1}\ntarget: t\n", "skip_lines"),
        ("source: {path: a.csv, delimeter: x}\ntarget: t\n", "delimiter"),
        ("source: a.csv\ntarget: {table: t, conn: x}\n", "connection"),
        (INSERT + "columns: {a: {from: x, type: int}}\n", "field"),
        (INSERT + "execution: {batch_size: 5}\n", "chunk_rows"),
    ],
)
def test_another_tools_option_gets_the_option_used_here(text: str, word: str) -> None:
    assert f"`{word}`" in (_hint(text) or "")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param(
            UPSERT + "conflict_constraint: t_pkey\n",
            "4:1",
            "`conflict_constraint` stands beside `conflict_keys`",
            id="keys-and-constraint",
        ),
        pytest.param(
            INSERT + "conflict_where: a > 1\n",
            "3:1",
            "`conflict_where` needs `conflict_keys`",
            id="predicate-without-keys",
        ),
        pytest.param(
            INSERT + "mode: upsert\n",
            "3:1",
            "mode `upsert` needs a conflict target",
            id="upsert-without-target",
        ),
        pytest.param(
            INSERT + "mode: ignore\n",
            "3:1",
            "mode `ignore` needs a conflict target",
            id="ignore-without-target",
        ),
        pytest.param(
            INSERT + "mode: update\n",
            "3:1",
            "mode `update` needs a conflict target",
            id="update-without-target",
        ),
        pytest.param(
            UPSERT + "mode: insert\nwhere: target.a > 1\n",
            "5:1",
            "`where` has no effect: mode `insert` updates no row",
            id="guard-in-insert",
        ),
        pytest.param(
            INSERT + "where: target.a > 1\n",
            "3:1",
            "`where` has no effect: mode `insert` updates no row",
            id="guard-in-default-insert",
        ),
        pytest.param(
            UPSERT + "mode: ignore\nupdate_columns: [a]\n",
            "5:1",
            "`update_columns` has no effect: mode `ignore` updates no row",
            id="updates-in-ignore",
        ),
        pytest.param(
            UPSERT + "mode: ignore\ntouch_unchanged: true\n",
            "5:1",
            "`touch_unchanged` has no effect: mode `ignore` updates no row",
            id="touch-in-ignore",
        ),
        pytest.param(
            UPSERT + "update_columns: []\nwhere: target.a > 1\n",
            "5:1",
            "`where` has no effect: `update_columns: []` leaves the row alone",
            id="guard-without-updates",
        ),
        pytest.param(
            UPSERT + "duplicates: {by: a}\n",
            "4:13",
            "duplicates: the key `keep` is missing",
            id="by-without-keep",
        ),
        pytest.param(
            UPSERT + "duplicates: {keep: max}\n", "4:1", "`keep: max` needs `by`", id="keep-without-by"
        ),
        pytest.param(
            INSERT + "duplicates: last\n",
            "3:1",
            "`duplicates` needs a conflict target",
            id="duplicates-of-what",
        ),
        pytest.param(
            INSERT + "null_keys: match\n",
            "3:1",
            "`null_keys` needs a conflict target",
            id="null-keys-of-what",
        ),
        pytest.param(
            INSERT + "returning: {columns: [id], to: x.txt}\n",
            "3:32",
            "`x.txt` is neither a .csv nor a .jsonl file",
            id="returning-to-what",
        ),
        pytest.param(
            INSERT + "returning: {columns: [id, id], to: x.csv}\n",
            "3:27",
            "`id` is there twice",
            id="returning-twice",
        ),
        pytest.param(
            INSERT + "conflict_keys: [id, ID]\n", "3:21", "the key `ID` is there twice", id="key-twice"
        ),
        pytest.param(UPSERT + "update_columns: [a, a]\n", "4:21", "`a` is there twice", id="update-twice"),
        pytest.param(
            INSERT + "columns: {a: x, '\"a\"': y}\n",
            "3:17",
            "the column `a` is there twice",
            id="column-twice",
        ),
        pytest.param(
            INSERT + "columns: {a: {field: x, expression: source.x}}\n",
            "3:11",
            "the column `a` has both a field and an expression",
            id="field-and-expression",
        ),
        pytest.param(INSERT + "columns: {a: {}}\n", "3:14", "`columns.a` is empty", id="neither"),
        pytest.param(
            INSERT + "columns: {a: x}\nignore_fields: [x]\n",
            "4:17",
            "the field `x` is ignored and loaded by `columns`",
            id="ignored-and-loaded",
        ),
        pytest.param(
            INSERT + "ignore_fields: x\n",
            "3:16",
            '`ignore_fields` must be a list, or "*"',
            id="one-ignored-field",
        ),
        pytest.param(
            f"source: a.csv\ntarget: {'x' * 64}\n",
            "2:9",
            f"the name `{'x' * 64}` has 64 bytes",
            id="long-name",
        ),
        pytest.param(
            INSERT + f"columns: {{{'é' * 32}: x}}\n",
            "3:45",
            f"the name `{'é' * 32}` has 64 bytes",
            id="long-in-bytes",
        ),
        pytest.param(
            "source: a.csv\ntarget: {table: t, connection: shop}\n",
            "2:32",
            "there is no connection `shop`",
            id="unknown-connection",
        ),
        pytest.param(
            "source: a.csv\ntarget: {table: t, connection: postgresql://h/d}\n",
            "2:32",
            "`connection` is a name, not a URL",
            id="url-for-connection",
        ),
        pytest.param("source: a.csv\ntarget: a-b\n", "2:9", "`a-b` is not a table's name", id="odd-table"),
        pytest.param(
            "source: ../../a.csv\ntarget: t\n",
            "1:9",
            "the path ../../a.csv leads out of the project",
            id="outside",
        ),
        pytest.param(
            INSERT + "returning: {columns: [id], to: /etc/x.csv}\n",
            "3:32",
            "the path /etc/x.csv leads out of the project",
            id="writing-outside",
        ),
        pytest.param(
            UPSERT + "update_columns: {a: kepe}\n",
            "4:21",
            "`kepe` is neither a rule nor an expression",
            id="slip-in-a-rule",
        ),
        pytest.param(UPSERT + "update_columns: {a: }\n", "4:21", "there is no SQL here", id="no-expression"),
        pytest.param(
            INSERT + "columns: {a: {expression: first}}\n",
            "3:27",
            "SQL: the column `first` needs its relation",
            id="unqualified-in-columns",
        ),
        pytest.param(
            INSERT + "columns: {a: {type: text) x}}\n",
            "3:28",
            'SQL: syntax error at or near ")"',
            id="hostile-type",
        ),
        pytest.param(
            UPSERT + "conflict_where: target.a > 1\n",
            "4:17",
            "SQL: there is no relation `target` here",
            id="qualified",
        ),
        pytest.param(
            INSERT + "conflict_keys: ['random() * id']\n",
            "3:18",
            "SQL: the function random is not allowed",
            id="bad-key",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_place(text: str, place: str, message: str) -> None:
    told = _told(text)

    assert told == [f"s.yaml:{place}: {message}"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        pytest.param(
            "source: {url: sqlite:///x, query: q}\ntarget: t\n", "1:15", "source type sql", id="sql"
        ),
        pytest.param(
            "source: {type: singer, command: tap}\ntarget: t\n", "1:16", "source type singer", id="singer"
        ),
        pytest.param("source: {callable: a:b}\ntarget: t\n", "1:20", "source type python", id="python"),
        pytest.param("source: https://h/a.csv\ntarget: t\n", "1:9", "https://", id="https"),
        pytest.param("source: {type: csv, path: s3://b/a.csv}\ntarget: t\n", "1:27", "s3://", id="typed-s3"),
        pytest.param(INSERT + "incremental: {cursor: a}\n", "3:1", "incremental", id="incremental"),
        pytest.param(INSERT + "keep_before_images: true\n", "3:1", "keep_before_images", id="before-images"),
        pytest.param(INSERT + "notify: {on: [done]}\n", "3:1", "notify", id="notify"),
        pytest.param(INSERT + "matrix: {a: [1]}\n", "3:1", "matrix", id="matrix"),
        pytest.param("source: ${matrix.x}.csv\ntarget: t\n", "1:9", "matrix", id="matrix-reference"),
        pytest.param(INSERT + "execution: {engine: x}\n", "3:21", "execution.engine: x", id="engine"),
        pytest.param(INSERT + "execution: {engine: dask}\n", "3:21", "execution.engine: dask", id="engine"),
        pytest.param(
            INSERT + "execution: {method: server}\n", "3:21", "execution.method: server", id="server"
        ),
    ],
)
def test_what_is_not_available_yet_is_refused_and_never_ignored(text: str, place: str, what: str) -> None:
    problems = _problems(text)

    assert [str(problem.location) for problem in problems] == [f"s.yaml:{place}"]
    assert problems[0].message == f"`{what}` is not available yet"
    assert isinstance(problems[0], NotAvailable)
    assert problems[0].hint


@pytest.mark.parametrize(
    "text",
    [
        "bad_rows: fail",
        "checks: []",
        "before: []",
        "limits: {}",
        "keep_before_images: false",
        "sensitive: []",
        "execution: {transaction: all, engine: local, method: auto}",
        "version: 1",
    ],
)
def test_asking_for_what_happens_anyway_is_fine(text: str) -> None:
    assert _load(INSERT + text + "\n")


@pytest.mark.parametrize(
    ("text", "kind", "options"),
    [
        pytest.param("a/b.tsv", "tsv", {"path": "a/b.tsv"}, id="extension"),
        pytest.param("data/*.CSV.gz", "csv", {"path": "data/*.CSV.gz"}, id="glob-and-compression"),
        pytest.param("a.ndjson.zst", "jsonl", {"path": "a.ndjson.zst"}, id="ndjson"),
        pytest.param("file:///project/a%20b.csv", "csv", {"path": "/project/a b.csv"}, id="file-url"),
        pytest.param("{path: a.csv}", "csv", {"path": "a.csv"}, id="mapping"),
        pytest.param('{type: csv, path: "-"}', "csv", {"path": "-"}, id="standard-input"),
        pytest.param(
            "{type: csv, path: a.txt, delimiter: ';'}",
            "csv",
            {"path": "a.txt", "delimiter": ";"},
            id="type-first",
        ),
        pytest.param("{rows: [{a: 1}]}", "rows", {"rows": [{"a": 1}]}, id="rows"),
    ],
)
def test_the_source_type_is_stated_or_told_by_the_path(
    text: str, kind: str, options: dict[str, object]
) -> None:
    assert _load(f"source: {text}\ntarget: t\n").source == SourceSpec(type=kind, options=options)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param(
            "a.xlsx", "1:9", "the extension of `a.xlsx` tells no source type", id="unknown-extension"
        ),
        pytest.param("data", "1:9", "the extension of `data` tells no source type", id="no-extension"),
        pytest.param('"-"', "1:9", "standard input does not tell its type", id="standard-input"),
        pytest.param("ftp://h/a.csv", "1:9", "unknown URL scheme `ftp://`", id="scheme"),
        pytest.param("{type: cvs, path: a}", "1:16", "unknown source type `cvs`", id="type"),
        pytest.param("{delimiter: x}", "1:9", "the source has neither a `path` nor a `type`", id="no-path"),
        pytest.param("{type: csv}", "1:9", "source: the key `path` is missing", id="type-alone"),
        pytest.param("file://host/a.csv", "1:9", "file://host/a.csv names the host host", id="host"),
    ],
)
def test_a_source_that_cannot_be_told_is_refused(text: str, place: str, message: str) -> None:
    assert _told(f"source: {text}\ntarget: t\n") == [f"s.yaml:{place}: {message}"]


@pytest.mark.parametrize(
    ("text", "schema", "table"),
    [
        ("Public.Users", "public", "users"),
        ("users", None, "users"),
        ('\'"My Schema"."A.b"\'', "My Schema", "A.b"),
        ('\'"a""b"\'', None, 'a"b'),
        ("größe", None, "größe"),
        ("ÄB", None, "Äb"),
    ],
)
def test_names_fold_as_in_sql(text: str, schema: str | None, table: str) -> None:
    target = _load(f"source: a.csv\ntarget: {text}\n").target

    assert (target.schema, target.table) == (schema, table)


@pytest.mark.parametrize(
    ("text", "name", "has_expression"),
    [
        pytest.param("Email", "email", True, id="identifier-folds"),
        pytest.param('"E Mail"', "E Mail", True, id="quoted"),
        pytest.param("E-Mail", "E-Mail", True, id="hyphenated-is-rather-a-name"),
        pytest.param("% done", "% done", False, id="no-sql-is-a-name"),
        pytest.param("order", "order", False, id="reserved-word"),
        pytest.param("user", "user", False, id="reserved-function"),
        pytest.param("lower(email)", None, True, id="expression"),
        pytest.param("a || b", None, True, id="operator"),
    ],
)
def test_a_conflict_key_is_a_name_or_an_expression(text: str, name: str | None, has_expression: bool) -> None:
    key = _load(INSERT + f"conflict_keys: ['{text}']\n").conflict_keys[0]

    assert (key.text, key.name, key.expression is not None) == (text, name, has_expression)


def test_update_columns_take_all_their_forms() -> None:
    listed = _load(UPSERT + "update_columns: ['*', a, {b: keep}, {c: now()}, {d: 0, e: true, f: NULL}]\n")
    mapped = _load(UPSERT + "update_columns: {b: keep, '\"C\"': target.c + excluded.c}\n")
    empty = _load(UPSERT + "update_columns: []\n")

    assert listed.update_columns[:3] == (AllColumns(), Assign(column="a"), Keep(column="b"))
    written = [
        item.expression.parts
        for item in listed.update_columns[3:]
        if isinstance(item, Assign) and item.expression
    ]
    assert written == [("now()",), ("0",), ("true",), ("NULL",)]
    assert [item.column for item in mapped.update_columns if not isinstance(item, AllColumns)] == ["b", "C"]
    assert empty.update_columns == ()


def test_other_keys_become_the_parts_of_the_spec() -> None:
    spec = _load(
        UPSERT
        + "name: n\ntags: [x]\nignore_fields: '*'\nduplicates: {keep: max, by: at}\nnull_keys: match\n"
        + "touch_unchanged: true\nreturning: {columns: [id], to: out/x.jsonl, rows: all}\n"
        + "execution: {method: rows, lock_timeout: 500 ms, retries: 0}\n"
        + "columns: {a: {type: 'numeric(12,2)'}, b: {expression: 1}}\n"
    )

    assert (spec.name, spec.tags, spec.ignore_rest, spec.touch_unchanged) == ("n", ("x",), True, True)
    assert spec.duplicates == Duplicates(keep="max", by="at")
    assert spec.returning is not None
    assert (spec.returning.path, spec.returning.format, spec.returning.rows) == (
        "/project/out/x.jsonl",
        "jsonl",
        "all",
    )
    assert spec.execution == Execution(method="rows", lock_timeout="500 ms", retries=0)
    assert [column.type for column in spec.columns] == ["numeric(12, 2)", None]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (INSERT, "insert"),
        (UPSERT, "upsert"),
        (INSERT + "conflict_constraint: t_pkey\n", "upsert"),
        (UPSERT + "mode: insert\n", "insert"),
    ],
)
def test_the_mode_is_upsert_where_there_is_a_conflict_target(text: str, mode: str) -> None:
    assert _load(text).mode == mode


def test_several_documents_are_several_specs_with_names() -> None:
    text = f"name: a\n{INSERT}---\nname: b\n{INSERT}"

    specs = load_text(text, file="s.yaml", folder=HERE, project=Project(folder=HERE), environ={})

    assert [spec.name for spec in specs] == ["a", "b"]


def test_one_of_several_documents_without_a_name_is_refused() -> None:
    assert _told(f"name: a\n{INSERT}---\n{INSERT}") == [
        "s.yaml:5:1: each spec of a file with several must have a `name`"
    ]


def test_a_name_given_twice_is_told_with_both_places() -> None:
    problem = _problems(f"name: a\n{INSERT}---\nname: a\n{INSERT}")[0]

    assert str(problem.location) == "s.yaml:5:7"
    assert problem.detail == "first at s.yaml:1:7"


def test_a_conflict_target_in_another_tools_words_spares_the_errors_that_follow() -> None:
    assert _told(INSERT + "primary_key: id\nwhere: target.a > 1\n") == [
        "s.yaml:3:1: unknown key `primary_key`"
    ]


def test_a_mapping_is_read_like_a_file_and_places_are_pointers() -> None:
    project = Project(folder=HERE)
    data = {"source": {"rows": [{"a": 1}]}, "target": "t", "conflict_keys": ("a",), "where": "x > 1"}

    with pytest.raises(SpecErrors) as raised:
        load_mapping(data, folder=HERE, project=project, environ={})
    spec = load_mapping({**data, "where": "target.a > 1"}, folder=HERE, project=project, environ={})

    assert raised.value.location == Location("<spec>/where")
    assert (spec.name, spec.mode, spec.file) == ("spec", "upsert", "<spec>")


def test_a_caller_that_brings_rows_needs_no_source() -> None:
    spec = load_mapping(
        {"target": "t"}, folder=HERE, project=Project(folder=HERE), environ={}, needs_source=False
    )

    assert spec.source == SourceSpec(type="rows", options={})


@pytest.mark.parametrize("data", [{1: "a"}, {"source": {"rows": [{2: 3}]}}, {"target": "a\x00b"}])
def test_a_mapping_of_other_than_plain_data_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(SpecErrors):
        load_mapping(data, folder=HERE, project=Project(folder=HERE), environ={})


def test_a_mapping_that_holds_itself_is_refused() -> None:
    data: dict[str, object] = {"target": "t"}
    data["source"] = data

    with pytest.raises(SpecErrors, match="nested deeper"):
        load_mapping(data, folder=HERE, project=Project(folder=HERE), environ={})


def test_a_folder_gives_all_its_specs_but_the_project_file_and_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.yaml", "sub/a.yml", "syncengine.yaml", ".syncengine/x.yaml", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(INSERT)

    specs = load_paths([tmp_path, tmp_path / "b.yaml"], Project(folder=tmp_path), {})

    assert [spec.name for spec in specs] == ["b", "a"]
    assert [spec.folder for spec in specs] == [str(tmp_path), str(tmp_path / "sub")]


def test_a_file_is_called_as_the_user_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(INSERT)
    monkeypatch.chdir(tmp_path)

    assert load_paths(["specs"], Project(folder=tmp_path), {})[0].file == "specs/a.yaml"


def test_problems_of_all_files_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("target: t")
    (tmp_path / "c.yaml").write_bytes(b"\xff")
    (tmp_path / "empty").mkdir()

    with pytest.raises(SpecErrors) as raised:
        load_paths([tmp_path, tmp_path / "empty", tmp_path / "gone.yaml"], Project(folder=tmp_path), {})

    assert [problem.message.split(":")[0] for problem in raised.value.each()] == [
        "not YAML",
        "the key `source` is missing",
        "not UTF-8",
        f"no spec in the folder {tmp_path}/empty",
        f"there is no file or folder {tmp_path}/gone.yaml",
    ]
    assert raised.value.exit_code == 3


def test_standard_input_is_read_for_a_hyphen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(INSERT.encode())))

    spec = load_paths(["-"], Project(folder=Path.cwd()), {})[0]

    assert (spec.name, spec.file) == ("stdin", "<stdin>")


KEYS = [
    "source",
    "target",
    "conflict_keys",
    "update_columns",
    "columns",
    "where",
    "mode",
    "execution",
    "rows",
    "a",
    "é",
]
LINES = [
    *FIVE_LINES.splitlines(),
    "- a",
    "columns: {a: {expression: '${X}'}}",
    "  x: [",
    "---",
    "where: |",
    "  1;",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


def _outcome(load: Callable[[], object]) -> SyncError | None:
    try:
        load()
    except SyncError as error:
        return error
    return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_no_mapping_raises_anything_but_a_sync_error(data: dict[str, object]) -> None:
    error = _outcome(lambda: load_mapping(data, folder=HERE, project=Project(folder=HERE), environ={}))

    assert error is None or error.exit_code == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(LINES)))
def test_no_text_raises_anything_but_a_sync_error(lines: list[str]) -> None:
    error = _outcome(lambda: _load("\n".join(lines)))

    assert error is None or error.exit_code == 3
