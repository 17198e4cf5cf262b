"""Several specs as one: their order, what waits for what, what a failure keeps back, and running at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import syncengine
from syncengine.errors import OptionError, SpecErrors
from syncengine.model import events as ev
from tests.servers import Database

TABLES = """
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent_id int CONSTRAINT to_parent REFERENCES parent);
CREATE TABLE grandchild (id int PRIMARY KEY, child_id int CONSTRAINT to_child REFERENCES child);
CREATE TABLE other (id int PRIMARY KEY)"""
# Given in an order that no foreign key allows.
ROWS: dict[str, list[dict[str, object]]] = {
    "grandchild": [{"id": 100, "child_id": 10}],
    "child": [{"id": 10, "parent_id": 1}],
    "parent": [{"id": 1}],
    "other": [{"id": 7}],
}
MEETING = 4712


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    emptied.execute(TABLES)
    return emptied


def a_spec(name: str, **keys: Any) -> dict[str, Any]:
    table = str(keys.pop("target", name))
    rows = keys.pop("rows", ROWS.get(table, []))
    return {
        "name": name,
        "source": {"rows": rows},
        "target": f"public.{table}",
        "conflict_keys": ["id"],
        **keys,
    }


def write(*specs: dict[str, Any]) -> None:
    Path("specs.yaml").write_text(yaml.safe_dump_all(specs, sort_keys=False))


def the_family(**changes: dict[str, Any]) -> None:
    """Write a spec for each table; `changes` are keys of single ones."""
    write(*(a_spec(name, **changes.get(name, {})) for name in ROWS))


def plans(db: Database, **options: Any) -> dict[str, syncengine.Plan]:
    found = syncengine.plan_all(syncengine.load(["specs.yaml"]), connection=db.url, **options)
    return {plan.name: plan for plan in found if isinstance(plan, syncengine.Plan)}


def run(db: Database, **options: Any) -> tuple[syncengine.Report, ...]:
    return syncengine.run_all(syncengine.load(["specs.yaml"]), connection=db.url, **options)


def codes(reports: Sequence[syncengine.Report]) -> dict[str, str | None]:
    return {report.name: report.error.code if report.error else None for report in reports}


class Diary:
    """Notes which specs start and finish, in that order; call it as `emit`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._here = threading.local()

    def __call__(self, event: ev.Event) -> None:
        match event:
            case ev.SpecStarted():
                self._here.name = event.name
                self.lines.append(f"{event.name} starts")
            case ev.SpecFinished():
                self.lines.append(f"{self._here.name} ends")
            case _:
                pass


# Order


@pytest.mark.parametrize("jobs", [1, 4])
def test_parents_come_before_their_children_and_the_rest_as_given(db: Database, jobs: int):
    the_family()

    reports = run(db, jobs=jobs)

    assert codes(reports) == dict.fromkeys(["parent", "child", "grandchild", "other"])
    assert [report.inserted for report in reports] == [1, 1, 1, 1]


def test_plans_stand_in_the_order_of_the_run_and_say_what_they_wait_for(db: Database):
    the_family(other={"depends_on": ["child"]})

    found = plans(db)

    after = {name: [(wait.name, wait.reason) for wait in plan.after] for name, plan in found.items()}
    assert after == {
        "parent": [],
        "child": [("parent", "foreign key to_parent")],
        "grandchild": [("child", "foreign key to_child")],
        "other": [("child", "depends_on")],
    }
    assert list(after) == ["parent", "child", "grandchild", "other"]
    assert "\n  after    parent (foreign key to_parent)\n" in found["child"].explain()
    assert '"after": [\n        {\n          "name": "parent",' in found["child"].to_json()


def test_depends_on_beats_a_foreign_key(db: Database):
    the_family(parent={"depends_on": ["child"]})

    assert list(plans(db)) == ["child", "grandchild", "parent", "other"]


def test_circle_of_foreign_keys_keeps_the_given_order_and_is_told(db: Database):
    db.execute("ALTER TABLE parent ADD favourite int REFERENCES child DEFERRABLE")
    the_family()

    found = plans(db)

    assert list(found) == ["child", "grandchild", "parent", "other"]
    assert [name for name, plan in found.items() if "in a circle" in " ".join(plan.warnings)] == [
        "child",
        "parent",
    ]
    assert "child -> parent -> child" in found["child"].warnings[-1]


def test_specs_of_one_target_run_in_the_given_order_and_never_at_the_same_time(db: Database):
    write(
        a_spec("b", target="other", rows=[{"id": 1}]),
        a_spec("a", target="other", rows=[{"id": 2}]),
        {**a_spec("c", target="other", rows=[{"id": 3}]), "target": "other"},
    )
    diary = Diary()

    run(db, jobs=4, emit=diary)

    assert diary.lines == ["b starts", "b ends", "a starts", "a ends", "c starts", "c ends"]
    assert [[wait.reason for wait in plan.after] for plan in plans(db).values()] == [
        [],
        ["same target"],
        ["same target"],
    ]


def test_a_spec_starts_when_those_it_waits_for_have_ended(db: Database):
    the_family()
    diary = Diary()

    run(db, jobs=4, emit=diary)

    family = [line for line in diary.lines if "other" not in line]
    assert family == [
        f"{name} {does}" for name in ("parent", "child", "grandchild") for does in ("starts", "ends")
    ]


def test_circle_of_depends_on_is_refused_also_between_specs_loaded_apart(db: Database):
    Path("a.yaml").write_text(yaml.safe_dump(a_spec("a", target="other", depends_on=["b"])))
    Path("b.yaml").write_text(yaml.safe_dump(a_spec("b", target="other", depends_on=["a"])))
    jobs = [*syncengine.load(["a.yaml"]), *syncengine.load(["b.yaml"])]

    with pytest.raises(SpecErrors, match="a -> b -> a") as raised:
        syncengine.run_all(jobs, connection=db.url)

    assert raised.value.exit_code == 3
    assert db.one("SELECT count(*) FROM other") == 0


# Selection


@pytest.mark.parametrize(
    ("select", "names"),
    [
        pytest.param(["other"], ["other"], id="name"),
        pytest.param(["tag:small"], ["child", "other"], id="tag"),
        pytest.param(["+grandchild"], ["parent", "child", "grandchild"], id="with-parents-by-foreign-keys"),
        pytest.param(["+child", "other"], ["parent", "child", "other"], id="several"),
    ],
)
def test_selected_specs_run_alone(db: Database, select: list[str], names: list[str]):
    the_family(child={"tags": ["small"]}, other={"tags": ["small"]})

    assert list(plans(db, select=select)) == names


def test_dependency_that_is_not_selected_is_taken_as_met(db: Database):
    the_family(other={"depends_on": ["parent"]})

    assert codes(run(db, select=["other"])) == {"other": None}


def test_what_selects_nothing_runs_nothing(db: Database):
    the_family()

    with pytest.raises(OptionError, match="--select otehr selects nothing"):
        run(db, select=["parent", "otehr"])

    assert db.one("SELECT count(*) FROM parent") == 0


# Failures


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_depends_on_a_failed_spec_is_not_run_and_says_why(db: Database, jobs: int):
    the_family(parent={"rows": [{"id": "x"}]})

    reports = run(db, jobs=jobs)

    assert codes(reports) == {
        "parent": "bad-row",
        "child": "dependency-failed",
        "grandchild": "dependency-failed",
        "other": None,
    }
    error = reports[2].error
    assert error is not None
    assert error.message == "the spec `parent` failed, and this one depends on it"
    assert error.detail == (
        "grandchild comes after child (foreign key to_child); child comes after parent (foreign key to_parent)"
    )
    assert (error.exit_code, reports[2].exit_code) == (1, 1)


def test_a_dependency_in_the_spec_is_told_with_its_place(db: Database):
    write(a_spec("a", target="other", rows=[{"id": "x"}]), a_spec("b", target="parent", depends_on=["a"]))

    error = run(db)[1].error

    assert error is not None
    assert str(error.location) == "specs.yaml:17:3"


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_spec_whose_source_is_missing_keeps_its_dependants_back_too(db: Database, jobs: int):
    the_family(parent={"source": "gone.csv"})

    assert codes(run(db, jobs=jobs)) == {
        "parent": "source-unreadable",
        "child": "dependency-failed",
        "grandchild": "dependency-failed",
        "other": None,
    }


@pytest.mark.parametrize("jobs", [1, 4])
def test_specs_of_a_failed_one_s_target_do_run(db: Database, jobs: int):
    write(a_spec("a", target="other", rows=[{"id": "x"}]), a_spec("b", target="other"))

    assert codes(run(db, jobs=jobs)) == {"a": "bad-row", "b": None}


def test_a_server_that_is_gone_is_tried_once_for_all_specs(db: Database):
    the_family()

    reports = syncengine.run_all(
        syncengine.load(["specs.yaml"]), connection="postgresql://nobody@127.0.0.1:1/x", jobs=4
    )

    assert set(codes(reports).values()) == {"connection-failed"}


# At the same time


def meet(db: Database, *tables: str) -> None:
    """Make an insert into each table wait until there are as many waiting as tables."""
    db.execute(f"""
        CREATE TABLE present (n int);
        CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_lock_shared({MEETING});
            FOR attempt IN 1..1000 LOOP
                IF (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {MEETING}
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) = {len(tables)}
                THEN RETURN NEW; END IF;
                PERFORM pg_sleep(0.01);
            END LOOP;
            RAISE 'nobody came';
        END $$""")
    for table in tables:
        db.execute(f"CREATE TRIGGER meet BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION meet()")


def test_independent_specs_run_at_the_same_time(db: Database):
    meet(db, "parent", "other")
    the_family()

    assert codes(run(db, jobs=2)) == dict.fromkeys(["parent", "child", "grandchild", "other"])


def test_reports_stand_in_order_whichever_spec_is_done_first(db: Database):
    the_family(parent={"rows": [{"id": n} for n in range(3000)]})

    assert [report.name for report in run(db, jobs=4)] == ["parent", "child", "grandchild", "other"]


def test_many_specs_at_once_give_what_they_give_one_by_one(db: Database):
    names = [f"t{number}" for number in range(12)]
    db.execute("; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY)" for name in names))
    write(*(a_spec(name, rows=[{"id": n} for n in range(50)]) for name in names))

    first, second = run(db, jobs=5), run(db, jobs=1)

    assert [(report.name, report.inserted, report.unchanged) for report in first] == [
        (n, 50, 0) for n in names
    ]
    assert [(report.name, report.inserted, report.unchanged) for report in second] == [
        (n, 0, 50) for n in names
    ]


def test_specs_that_start_together_share_the_new_schema_of_staging_tables(db: Database):
    names = [f"t{number}" for number in range(8)]
    db.execute("; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY)" for name in names))
    write(*(a_spec(name, rows=[{"id": 1}], execution={"method": "staged"}) for name in names))

    assert codes(run(db, jobs=8)) == dict.fromkeys(names)


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_no_spec_can_be_blamed_for_ends_the_call(db: Database, jobs: int):
    the_family()

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.UnitCommitted):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(db, jobs=jobs, emit=emit)

    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("syncengine")]


def test_events_of_a_spec_come_from_one_thread_and_one_at_a_time(db: Database):
    write(*(a_spec(name) for name in ("parent", "other")))
    busy = threading.Lock()
    threads: dict[str, set[int]] = {}
    here = threading.local()

    def emit(event: ev.Event) -> None:
        assert busy.acquire(blocking=False)
        if isinstance(event, ev.SpecStarted):
            here.name = event.name
        threads.setdefault(here.name, set()).add(threading.get_ident())
        busy.release()

    run(db, jobs=2, emit=emit)

    assert {name: len(found) for name, found in threads.items()} == {"parent": 1, "other": 1}
