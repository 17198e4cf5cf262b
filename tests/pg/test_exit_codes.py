"""docs/spec.md §6 through the command line: exit codes, --detailed-exitcode, --dry-run, --again, the JSON documents."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncengine.model.report import COUNTERS
from tests.builders import a_spec, contents
from tests.calls import Call, caller
from tests.conftest import RunCli
from tests.servers import Database

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, n int); INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)"
)
SAME = "id,v,n\n1,one,1\n2,two,2\n"
OTHER = "id,v,n\n1,one,1\n2,zwei,2\n3,drei,3\n"
TWICE = "id,v,n\n3,x,1\n3,y,1\n"
BAD = "id,v,n\nx,x,1\n"


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCENGINE_URL", emptied.url)
    emptied.execute(TABLE)
    return emptied


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


# (the file, keys of the spec, code and error of `plan`, of `plan --diff`, of `plan --detailed-exitcode`, of `run`)
CASES = [
    pytest.param(SAME, {}, (0, None), (0, None), 0, (0, None), id="nothing-to-do"),
    pytest.param(OTHER, {}, (0, None), (0, None), 2, (0, None), id="changes"),
    pytest.param(SAME, {"mode": "mirror"}, (0, None), (0, None), 0, (0, None), id="a-mirror-in-step"),
    pytest.param("id,v,n\n1,one,1\n", {"mode": "mirror"}, (0, None), (0, None), 2, (0, None), id="a-delete"),
    pytest.param(
        OTHER, {"where": "false", "mode": "update"}, (0, None), (0, None), 0, (0, None), id="all-skipped"
    ),
    pytest.param(
        OTHER,
        {"limits": {"max_inserts": 0}},
        (0, None),
        (5, "limit-exceeded"),
        5,
        (5, "limit-exceeded"),
        id="a-limit",
    ),
    pytest.param(
        OTHER,
        {"checks": [{"sql": "SELECT count(*) = 2 FROM t"}]},
        (0, None),
        (5, "check-failed"),
        5,
        (5, "check-failed"),
        id="a-check",
    ),
    pytest.param(BAD, {}, (0, None), (1, "bad-row"), 1, (1, "bad-row"), id="a-bad-row"),
    pytest.param(TWICE, {}, (0, None), (1, "duplicate-keys"), 1, (1, "duplicate-keys"), id="duplicate-keys"),
    pytest.param("id,v,n\n,x,1\n", {}, (0, None), (1, "null-keys"), 1, (1, "null-keys"), id="a-null-key"),
    pytest.param(
        None,
        {},
        (1, "source-unreadable"),
        (1, "source-unreadable"),
        1,
        (1, "source-unreadable"),
        id="no-file",
    ),
    pytest.param(
        SAME,
        {"conflict_keys": ["v"]},
        (3, "no-arbiter-index"),
        (3, "no-arbiter-index"),
        3,
        (3, "no-arbiter-index"),
        id="no-arbiter",
    ),
    pytest.param(
        SAME,
        {"modus": "x"},
        (3, "invalid-spec"),
        (3, "invalid-spec"),
        3,
        (3, "invalid-spec"),
        id="no-such-key",
    ),
    pytest.param(
        SAME,
        {"mode": "insert", "conflict_keys": None},
        (0, None),
        (0, None),
        2,
        (1, "database-error"),
        id="what-only-the-database-knows",
    ),
]


@pytest.mark.parametrize(("text", "keys", "plan", "diff", "detailed", "run"), CASES)
def test_each_outcome_has_its_exit_code(
    db: Database,
    call: Call,
    tmp_path: Path,
    text: str | None,
    keys: dict[str, Any],
    plan: tuple[int, str | None],
    diff: tuple[int, str | None],
    detailed: int,
    run: tuple[int, str | None],
):
    if text is not None:
        Path("t.csv").write_text(text)
    whole = {"conflict_keys": ["id"], **keys}
    path = a_spec(tmp_path, "t.csv", **{key: value for key, value in whole.items() if value is not None})
    before = contents(db)

    def outcome(*command: str) -> tuple[int, str | None]:
        done = call(*command, path, "--format", "json")
        (spec,) = done.document["specs"]
        assert done.document["ok"] is (spec["error"] is None)
        return done.code, spec["error"] and spec["error"]["code"]

    assert outcome("plan") == plan
    assert outcome("plan", "--diff") == diff
    assert outcome("run", "--dry-run") == diff
    assert outcome("plan", "--detailed-exitcode") == (detailed, diff[1])
    assert contents(db) == before
    assert outcome("run") == run
    if run[0] or not detailed:
        after = contents(db)
        assert {name: after[name] for name in before} == before


OUTCOMES = {
    3: ("other.csv", {"conflict_keys": ["v"]}),
    1: ("bad.csv", {}),
    5: ("other.csv", {"limits": {"max_inserts": 0}}),
    2: ("other.csv", {}),
    0: ("same.csv", {}),
}


def specs(codes: tuple[int, ...]) -> None:
    """Write one spec for each code, in this order."""
    for name, text in (("other.csv", OTHER), ("bad.csv", BAD), ("same.csv", SAME)):
        Path(name).write_text(text)
    documents = [
        {
            "name": f"s{code}",
            "source": OUTCOMES[code][0],
            "target": "t",
            "conflict_keys": ["id"],
            **OUTCOMES[code][1],
        }
        for code in codes
    ]
    Path("all.yaml").write_text(yaml.safe_dump_all(documents))


@pytest.mark.parametrize("codes", list(itertools.permutations((3, 1, 5, 2, 0), 2)), ids=str)
def test_of_two_specs_the_graver_code_is_left(db: Database, call: Call, codes: tuple[int, ...]):
    specs(codes)

    done = call("plan", "--detailed-exitcode", "all.yaml", "--format", "json")

    order = (3, 1, 5, 4, 2, 0)
    assert done.code == min(codes, key=order.index)
    if 3 not in codes:
        assert {spec["name"] for spec in done.document["specs"]} == {f"s{code}" for code in codes}


@pytest.mark.parametrize("codes", [(5, 1, 0), (0, 5, 1), (1, 0, 5)], ids=str)
def test_a_run_of_several_leaves_the_gravest_code_and_does_the_rest(
    db: Database, call: Call, codes: tuple[int, ...]
):
    specs((*codes, 2))

    done = call("run", "all.yaml", "--format", "json")

    assert done.code == 1
    codes_of = {spec["name"]: spec["error"] and spec["error"]["code"] for spec in done.document["specs"]}
    assert codes_of == {"s5": "limit-exceeded", "s1": "bad-row", "s0": None, "s2": None}
    assert db.one("SELECT v FROM t WHERE id = 3") == "drei"


def test_a_spec_that_can_not_run_keeps_the_others_from_starting(db: Database, call: Call):
    specs((2, 3))

    done = call("run", "all.yaml", "--format", "json")

    assert done.code == 3
    assert db.one("SELECT count(*) FROM t") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "spec.yaml", "--approve", "max_deletes"], "max_deletes"),
        (["run", "spec.yaml", "--format", "yaml"], "--format"),
        (["run", "nope.yaml"], "nope.yaml"),
        (["run", "spec.yaml", "--detailed-exitcode"], "--detailed-exitcode"),
        (["plan", "spec.yaml", "--dry-run"], "--dry-run"),
        (["run", "spec.yaml", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_options_are_3(db: Database, call: Call, tmp_path: Path, arguments: list[str], says: str):
    a_spec(tmp_path, "t.csv", conflict_keys=["id"])
    Path("t.csv").write_text(SAME)

    done = call(*arguments)

    assert done.code == 3
    assert says in done.out + done.err


# The real command line says the same as the calls above.
@pytest.mark.parametrize(
    ("command", "text", "keys", "code"),
    [
        (["plan", "--detailed-exitcode"], OTHER, {}, 2),
        (["run", "--dry-run"], OTHER, {"limits": {"max_inserts": 0}}, 5),
        (["run"], OTHER, {"checks": [{"sql": "SELECT false"}]}, 5),
        (["run"], BAD, {}, 1),
        (["run"], SAME, {"conflict_keys": ["v"]}, 3),
        (["run"], OTHER, {}, 0),
    ],
)
def test_the_process_leaves_with_the_code(
    db: Database, cli: RunCli, tmp_path: Path, command: list[str], text: str, keys: dict[str, Any], code: int
):
    Path("t.csv").write_text(text)
    path = a_spec(tmp_path, "t.csv", **{"conflict_keys": ["id"], **keys})

    done = cli(*command, path, env={"SYNCENGINE_URL": db.url})

    assert done.returncode == code, done.stderr


# JSON
RUN_KEYS = ["name", "mode", "strategy", *COUNTERS, "bytes_read", "seconds", "resumed", "error"]
PLAN_KEYS = ["name", "mode", "strategy", "reasons", "steps", "checks", *COUNTERS, "error"]


def test_the_document_of_a_run_has_its_keys_whether_it_succeeds_or_not(
    db: Database, call: Call, tmp_path: Path
):
    Path("t.csv").write_text(OTHER)
    for keys in ({}, {"limits": {"max_inserts": 0}}, {"conflict_keys": ["v"]}, {"modus": 1}):
        path = a_spec(tmp_path, "t.csv", **{"conflict_keys": ["id"], **keys})
        document = call("run", path, "--format", "json").document
        assert {"format", "run_id", "ok", "specs"} <= set(document)
        assert document["format"] == 1
        for spec in document["specs"]:
            assert [key for key in RUN_KEYS if key not in spec] == []
            if spec["error"] is not None:
                assert set(spec["error"]) == {"code", "message", "detail", "hint", "location"}


def test_the_document_of_a_plan_has_its_keys_and_null_counters_without_diff(
    db: Database, call: Call, tmp_path: Path
):
    Path("t.csv").write_text(OTHER)
    path = a_spec(tmp_path, "t.csv", conflict_keys=["id"])

    plain = call("plan", path, "--format", "json").spec
    counted = call("plan", "--diff", path, "--format", "json").spec

    for spec in (plain, counted):
        assert [key for key in PLAN_KEYS if key not in spec] == []
        assert all({"title", "sql"} <= set(step) for step in spec["steps"])
    assert {plain[counter] for counter in COUNTERS} == {None}
    assert plain["samples"] is None
    assert {counter: counted[counter] for counter in COUNTERS} == {
        "rows_read": 3,
        "inserted": 1,
        "updated": 1,
        "unchanged": 1,
        "skipped": 0,
        "deleted": 0,
        "quarantined": 0,
        "duplicates": 0,
    }


def test_dry_run_is_plan_diff(db: Database, call: Call, tmp_path: Path):
    Path("t.csv").write_text(OTHER)
    path = a_spec(tmp_path, "t.csv", mode="mirror", conflict_keys=["id"])

    for options in ([], ["--format", "json"]):
        assert call("run", "--dry-run", path, *options).out == call("plan", "--diff", path, *options).out


def test_checks_that_only_a_run_can_tell_are_named_in_both_formats(db: Database, call: Call, tmp_path: Path):
    Path("t.csv").write_text(OTHER)
    spec = {"before": ["CREATE TEMPORARY TABLE old ON COMMIT DROP AS SELECT * FROM t"]}
    checks = [{"name": "late", "sql": "SELECT count(*) = 2 FROM old"}]
    path = a_spec(tmp_path, "t.csv", conflict_keys=["id"], checks=checks, **spec)

    assert "late" in call("plan", "--diff", path).out.split("because")[0]
    assert call("plan", "--diff", path, "--format", "json").spec["unchecked"] == ["late"]
    assert call("run", path).code == 0


# --again
def test_a_source_that_adds_up_is_published_once_and_again_when_asked(
    db: Database, call: Call, tmp_path: Path
):
    Path("t.csv").write_text("id,n\n1,10\n")
    path = a_spec(tmp_path, "t.csv", conflict_keys=["id"], update_columns={"n": "sum"})

    def run(*options: str) -> tuple[int, int, bool, object]:
        done = call("run", path, "--format", "json", *options)
        return (
            done.code,
            done.spec["updated"],
            done.spec["published_before"],
            db.one("SELECT n FROM t WHERE id = 1"),
        )

    def foreseen(*options: str) -> tuple[int, int]:
        return call("plan", "--detailed-exitcode", path).code, call(
            "run", "--dry-run", path, "--format", "json", *options
        ).spec["updated"]

    assert foreseen() == (2, 1)
    assert run() == (0, 1, False, 11)
    assert foreseen() == (0, 0)
    assert run() == (0, 0, True, 11)
    assert foreseen("--again") == (0, 1)
    assert run("--again") == (0, 1, False, 21)
    assert run() == (0, 0, True, 21)
    Path("t.csv").write_text("id,n\n1,5\n")
    assert run() == (0, 1, False, 26)


def test_again_changes_nothing_for_what_does_not_add_up(db: Database, call: Call, tmp_path: Path):
    Path("t.csv").write_text(SAME)
    path = a_spec(tmp_path, "t.csv", conflict_keys=["id"])

    done = call("run", path, "--again", "--format", "json")

    assert (done.code, done.spec["unchanged"], done.spec["published_before"]) == (0, 2, False)


def test_a_source_that_a_limit_stopped_is_not_taken_for_published(db: Database, call: Call, tmp_path: Path):
    Path("t.csv").write_text("id,n\n1,10\n")
    keys: dict[str, Any] = {"conflict_keys": ["id"], "update_columns": {"n": "sum"}}
    path = a_spec(tmp_path, "t.csv", limits={"max_updates": 0}, **keys)

    assert call("run", path).code == 5
    assert call("run", path, "--dry-run").code == 5
    assert call("run", path, "--approve", "max_updates=1").code == 0

    assert db.one("SELECT n FROM t WHERE id = 1") == 11
