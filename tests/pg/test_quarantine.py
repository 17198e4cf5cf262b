"""Rows that can't be loaded are kept apart, with their places and their own bytes, and no good row is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model.report import Report
from tests.builders import a_spec, contents, untouched
from tests.conftest import RunCli
from tests.servers import Database

TABLE = """
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1);
CREATE DOMAIN even AS int NOT NULL CHECK (VALUE % 2 = 0);
CREATE TABLE t (
    id int PRIMARY KEY, name varchar(6) NOT NULL, qty numeric(6, 2) CHECK (qty >= 0), day date,
    parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, code text UNIQUE, pair even,
    twice int GENERATED ALWAYS AS (id / (id - 900)) STORED);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.name = 'never' THEN RAISE EXCEPTION 'never is refused'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()"""
HEAD = b"id,name,qty,day,parent,code,pair\r\n"


@dataclass(frozen=True)
class Bad:
    """A planted record, and what is to be said of it."""

    raw: bytes
    sqlstate: str
    says: str
    column: str | None = None
    constraint: str | None = None


PLANTED = {
    "no number": Bad(b"x,a,1,,1,,2\n", "22P02", '"x"', "id"),
    "out of range": Bad(b"99999999999,a,1,,1,,2\r\n", "22003", "out of range", "id"),
    "too long": Bad(b"10,muchtoolong,1,,1,,2\n", "22001", "varying(6)", "name"),
    "numeric overflow": Bad(b"11,a,99999999,,1,,2\n", "22003", "overflow"),
    "rounded": Bad(b"12,a,1.234,,1,,2\n", "22003", "would be rounded by numeric(6,2)", "qty"),
    "no date": Bad(b"13,a,1,2026-02-30,1,,2\n", "22008", "2026-02-30", "day"),
    "time dropped": Bad(b"14,a,1,2026-02-03 12:30:00,1,,2\n", "22000", "its time", "day"),
    "null": Bad(b"15,,1,,1,,2\n", "23502", "not-null", "name"),
    "check": Bad(b"16,a,-1,,1,,2\n", "23514", "check", None, "t_qty_check"),
    "foreign key": Bad(b"17,a,1,,7,,2\n", "23503", "(parent)=(7)", None, "t_parent_fkey"),
    "other unique": Bad(b"18,a,1,,1,taken,2\n", "23505", "(code)=(taken)", None, "t_code_key"),
    "domain": Bad(b"19,a,1,,1,,3\n", "23514", "even", "pair", "even_check"),
    "null in a domain": Bad(b"20,a,1,,1,,\n", "23502", "even", "pair"),
    "trigger": Bad(b"21,never,1,,1,,2\n", "P0001", "never is refused"),
    "generated": Bad(b"900,a,1,,1,,2\n", "22012", "division by zero"),
    "too few": Bad(b"22,a,1\n", "22P04", "3 fields, expected were 7"),
    "too many": Bad(b'23,"a\nb",1,,1,,2,,,\n', "22P04", "10 fields"),
    "open quote": Bad(b'24,"a,1,,1,,2\n', "22P04", "never closed"),
    "no UTF-8": Bad(b"25,\xff\xfe,1,,1,,2\n", "22021", "not valid UTF-8"),
    "nul": Bad(b"26,a\0b,1,,1,,2\n", "22021", "NUL"),
    "end mark": Bad(b"\\.\n", "22P04", "1 field, expected were 7"),
    "empty line": Bad(b"\n", "22P04", "1 field, expected were 7"),
}
# Records over several lines, of all line ends.
NEIGHBOURS = (b'1,"a\nb",1,,1,,2\n', b'2,"c\r\nd",1,,1,,2\r\n', b"3,e,1,,1,taken,2\r")


def planted() -> tuple[bytes, dict[str, tuple[int, int]], list[int]]:
    """Return a file, the line and first byte of each planted record, and the keys of the good ones."""
    data, places, good, number = HEAD + b"".join(NEIGHBOURS), {}, [1, 2, 3], 100
    for name, bad in PLANTED.items():
        places[name] = (1 + data.count(b"\n") + 1, len(data))
        data += bad.raw
        data += f'{number},"g\n{number}",2,,1,,4\n'.encode()
        good.append(number)
        number += 1
    return data, places, good


@pytest.fixture
def target(db: Database) -> Iterator[Database]:
    db.execute(TABLE)
    return db


def run(spec: Path, db: Database, **more: object) -> Report:
    report = syncengine.run(spec, connection=db.url, **more)
    assert report.counts.closed
    return report


def kept(db: Database, columns: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT {columns} FROM syncengine.quarantine ORDER BY id")


def engine_tables(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT relname::text FROM pg_class WHERE relname LIKE 'stage_%'")


@pytest.mark.every_server
def test_planted_rows_are_told_by_line_bytes_and_reason(target: Database, tmp_path: Path):
    data, places, good = planted()
    (tmp_path / "rows.csv").write_bytes(data)
    spec = a_spec(tmp_path, conflict_keys=["id"], bad_rows="quarantine")

    report = run(spec, target)

    found = {
        bytes(raw): rest
        for raw, *rest in kept(
            target, 'raw, line, byte_from, byte_to, "column", sqlstate, constraint_name, message'
        )
    }
    assert len(found) == len(kept(target, "id")) == len(PLANTED) == report.quarantined
    for name, bad in PLANTED.items():
        line, first, last, column, sqlstate, constraint, message = found[bad.raw]
        assert (line, first) == places[name], name
        assert last == first + len(bad.raw), name
        assert sqlstate == bad.sqlstate, name
        assert bad.says in message, (name, message)
        assert constraint == bad.constraint, name
        assert bad.column in (None, column), (name, column)
    assert report.exit_code == 4
    assert len(report.bad_rows) == 20
    assert target.execute("SELECT id FROM t ORDER BY id") == [(number,) for number in sorted(good)]
    assert engine_tables(target) == []


@pytest.mark.every_server
def test_second_run_finds_the_good_rows_unchanged_and_the_same_bad_ones(target: Database, tmp_path: Path):
    data, _, good = planted()
    (tmp_path / "rows.csv").write_bytes(data)
    spec = a_spec(tmp_path, conflict_keys=["id"], bad_rows="quarantine")
    run(spec, target)
    before = target.execute("SELECT t.*, xmin::text FROM t ORDER BY id")

    report = run(spec, target)

    assert (report.unchanged, report.quarantined) == (len(good), len(PLANTED))
    assert target.execute("SELECT t.*, xmin::text FROM t ORDER BY id") == before


LOADS = "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, qty int CHECK (qty > 0))"
ROWS = "id,name,qty\n1,a,1\n2,b,x\n3,,3\n4,d,-4\n5,e,5\n"


def a_table(db: Database, tmp_path: Path, rows: str = ROWS, **keys: object) -> Path:
    db.execute(LOADS)
    (tmp_path / "rows.csv").write_text(rows)
    keys = {"conflict_keys": ["id"], "bad_rows": "quarantine", **keys}
    return a_spec(tmp_path, **{name: value for name, value in keys.items() if value is not None})


@pytest.mark.parametrize("mode", ["insert", "ignore", "upsert", "mirror", "replace"])
def test_every_mode_loads_the_good_rows(mode: str, newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, mode=mode)

    report = run(spec, newdb)

    assert newdb.execute("SELECT id FROM t ORDER BY id") == [(1,), (5,)] or mode == "replace"
    assert (report.inserted, report.quarantined) == (2, 3)
    assert str(report.bad_rows[0]).startswith("rows.csv:3: column qty: ")


def test_update_leaves_what_it_can_not_set(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, mode="update")
    newdb.execute("INSERT INTO t SELECT n, 'old', 9 FROM generate_series(1, 5) AS n")

    report = run(spec, newdb)

    assert (report.updated, report.quarantined) == (2, 3)
    assert newdb.execute("SELECT id FROM t WHERE name = 'old' ORDER BY id") == [(2,), (3,), (4,)]


def test_mirror_keeps_the_rows_whose_source_rows_are_bad(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, mode="mirror")
    newdb.execute("INSERT INTO t SELECT n, 'old', 9 FROM generate_series(1, 8) AS n")

    report = run(spec, newdb)

    assert report.deleted == 3
    assert newdb.execute("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,), (4,), (5,)]
    assert not report.suppressed


def test_mirror_deletes_nothing_where_a_key_can_not_be_read(newdb: Database, tmp_path: Path, cli: RunCli):
    spec = a_table(newdb, tmp_path, ROWS + "6x,f,1\n", mode="mirror")
    newdb.execute("INSERT INTO t SELECT n, 'old', 9 FROM generate_series(1, 8) AS n")

    done = cli("run", spec, "--connection", newdb.url)

    assert done.returncode == 4
    assert "nothing was deleted: the keys of 1 bad rows can't be read" in done.stdout
    assert newdb.execute("SELECT count(*) FROM t") == [(8,)]


def test_replace_stops_where_a_key_can_not_be_read(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, ROWS + "6x,f,1\n", mode="replace")

    with pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert (caught.value.code, caught.value.exit_code) == ("unreadable-keys", 5)
    assert newdb.execute("SELECT * FROM t") == []
    assert kept(newdb, "id") == []


def test_history_closes_no_version_of_a_bad_row(newdb: Database, tmp_path: Path):
    newdb.execute(
        "CREATE TABLE t (id int, qty int CHECK (qty > 0), valid_from timestamptz, valid_to timestamptz,"
        " PRIMARY KEY (id, valid_from))"
    )
    (tmp_path / "rows.csv").write_text("id,qty\n1,1\n2,2\n3,3\n")
    spec = a_spec(tmp_path, mode="history", conflict_keys=["id"], bad_rows="quarantine")
    run(spec, newdb)
    (tmp_path / "rows.csv").write_text("id,qty\n1,-1\n2,4\n")

    report = run(spec, newdb)

    assert (report.updated, report.deleted, report.quarantined) == (1, 1, 1)
    assert newdb.execute("SELECT id, qty FROM t WHERE valid_to IS NULL ORDER BY id") == [(1, 1), (2, 4)]


MOST = {
    "count-allows": (3, True),
    "count": (2, False),
    "share-allows": ("60%", True),
    "share": ("59%", False),
    "none": (0, False),
}


@pytest.mark.parametrize(("most", "loads"), MOST.values(), ids=MOST)
def test_more_bad_rows_than_allowed_publish_nothing(
    most: object, loads: bool, newdb: Database, tmp_path: Path, cli: RunCli
):
    spec = a_table(newdb, tmp_path, bad_rows={"quarantine": True, "max": most})

    done = cli("run", spec, "--connection", newdb.url, "--format", "json")

    (entry,) = json.loads(done.stdout)["specs"]
    assert done.returncode == (4 if loads else 1)
    assert (entry["error"] or {}).get("code") == (None if loads else "too-many-bad-rows")
    assert [row["line"] for row in entry["bad_rows"]] == ([3] if most == 0 else [3, 4, 5])
    assert newdb.execute("SELECT count(*) FROM t") == [(2 if loads else 0,)]
    assert len(kept(newdb, "id")) == (3 if loads else 0)


def test_source_is_not_read_further_once_too_many_rows_are_bad(newdb: Database, tmp_path: Path):
    rows = "id,name,qty\n" + "".join(f"x{n},a,1\n" for n in range(50_000))
    spec = a_table(newdb, tmp_path, rows, bad_rows={"quarantine": True, "max": 30})

    with pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert caught.value.message == "40 rows can't be loaded, at most 30 may be"
    assert str(caught.value.detail).count("rows.csv:") == 20


def test_null_keys_are_kept_apart(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id int UNIQUE, name text)")
    (tmp_path / "rows.csv").write_text("id,name\n1,a\n,b\n2,c\n")
    spec = a_spec(tmp_path, conflict_keys=["id"], null_keys="quarantine")

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined, report.exit_code) == (2, 1, 4)
    assert kept(newdb, 'line, "column", raw') == [(3, "id", b",b\n")]


def test_what_a_lookup_does_not_find_is_kept_apart(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE c (id int PRIMARY KEY, code text); INSERT INTO c VALUES (7, 'at')")
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, c int REFERENCES c)")
    (tmp_path / "rows.csv").write_text("id,code\n1,at\n2,xx\n3,at\n")
    lookup = {"table": "c", "match": {"code": "source.code"}, "missing": "quarantine"}
    spec = a_spec(tmp_path, conflict_keys=["id"], lookups={"c": lookup})

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined) == (2, 1)
    assert kept(newdb, 'line, "column", message') == [
        (3, "c", 'no row of public.c has the natural key {"code" : "xx"}')
    ]


def test_expression_that_fails_for_a_row_keeps_that_row_apart(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, share int)")
    rows = "".join(f"{n},{0 if n in (7, 1400) else 2}\n" for n in range(1, 2001))
    (tmp_path / "rows.csv").write_text("id,part\n" + rows)
    columns = {"share": {"expression": "100 / source.part::int"}}
    spec = a_spec(tmp_path, conflict_keys=["id"], columns=columns, bad_rows="quarantine")

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined) == (1998, 2)
    assert kept(newdb, 'line, "column", sqlstate') == [(8, "share", "22012"), (1401, "share", "22012")]


def test_rows_of_a_tree_are_not_blamed_for_their_parents_places(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t)")
    rows = "".join(f"{n},{n + 1}\n" for n in range(1, 300))
    (tmp_path / "rows.csv").write_text(f"id,up\n{rows}300,\n5000,4000\n5001,5000\n")
    spec = a_spec(tmp_path, conflict_keys=["id"], bad_rows="quarantine")

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined) == (300, 2)
    assert kept(newdb, "line") == [(302,), (303,)]


def test_row_without_a_partition_is_kept_apart(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    newdb.execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    (tmp_path / "rows.csv").write_text("id\n1\n50\n2\n")

    report = run(a_spec(tmp_path, conflict_keys=["id"], bad_rows="quarantine"), newdb)

    assert (report.inserted, report.quarantined) == (2, 1)
    assert kept(newdb, "line, sqlstate") == [(3, "23514")]


def test_failing_hook_is_no_fault_of_a_row(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, "id,name,qty\n1,a,1\n", after=["SELECT 1 / 0"])

    with pytest.raises(SyncError, match="division by zero"):
        syncengine.run(spec, connection=newdb.url)

    assert newdb.execute("SELECT * FROM t") == []


def test_generator_keeps_its_rows_values(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path)
    rows = iter(
        [
            {"id": 1, "name": "a", "qty": 1},
            {"id": "x", "name": "b", "qty": 2},
            7,
            {"id": 3, "name": "c", "qty": -3},
        ]
    )

    report = run(spec, newdb, source=rows)

    assert (report.inserted, report.quarantined) == (1, 3)
    assert kept(newdb, 'number, place, raw, "row"') == [
        (2, "row 2", None, {"id": "x", "name": "b", "qty": 2}),
        (3, "row 3", None, None),
        (4, "row 4", None, {"id": 3, "name": "c", "qty": -3}),
    ]


def test_standard_input_keeps_its_bytes(newdb: Database, tmp_path: Path, cli: RunCli):
    newdb.execute(LOADS)
    spec = a_spec(tmp_path, {"type": "csv", "path": "-"}, conflict_keys=["id"], bad_rows="quarantine")

    done = cli("run", spec, "--connection", newdb.url, input=ROWS)

    assert done.returncode == 4, done.stderr
    assert kept(newdb, "line, raw") == [(3, b"2,b,x\n"), (4, b"3,,3\n"), (5, b"4,d,-4\n")]


def test_json_lines_keep_their_lines(newdb: Database, tmp_path: Path):
    newdb.execute(LOADS)
    lines = [
        b'{"id": 1, "name": "a"}',
        b'{"id": 2, "name"}',
        b"",
        b'{"id": 3, "name": null}',
        b"[4]",
        b'{"id": 5, "name": "e", "late": 1}',
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"\r\n".join(lines) + b"\r\n")
    columns = {"id": "id", "name": "name"}
    spec = a_spec(
        tmp_path,
        "rows.jsonl",
        conflict_keys=["id"],
        columns=columns,
        bad_rows="quarantine",
        ignore_fields="*",
    )

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined) == (2, 3)
    assert kept(newdb, "line, raw") == [(2, lines[1] + b"\r\n"), (4, lines[3] + b"\r\n"), (5, b"[4]\r\n")]


ENCODINGS = ["latin-1", "utf-16", "utf-16-be", "cp037"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bytes_are_those_of_the_file_in_any_encoding(encoding: str, newdb: Database, tmp_path: Path):
    newdb.execute(LOADS)
    good = 'id,name,qty\n1,"é\nü",1\n'
    data = (good + "2,ö,x\n3,a,3\n").encode(encoding)
    (tmp_path / "rows.csv").write_bytes(data)
    source = {"path": "rows.csv", "encoding": encoding}

    report = run(a_spec(tmp_path, source, conflict_keys=["id"], bad_rows="quarantine"), newdb)

    ((first, last, line, raw),) = kept(newdb, "byte_from, byte_to, line, raw")
    assert (report.inserted, report.quarantined, line) == (2, 1, 4)
    assert data[first:last] == raw
    assert first == len(good.encode(encoding))


def test_preview_counts_what_a_run_would_keep_apart_and_leaves_nothing(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path)

    with untouched(newdb):
        plan = syncengine.plan(spec, connection=newdb.url, diff=True)

    assert plan.preview is not None
    assert plan.preview.counts.quarantined == 1
    assert [row.line for row in plan.preview.bad_rows] == [3]
    assert plan.preview.unchecked == ("which rows the table's own constraints and triggers refuse",)


def test_sensitive_values_are_told_by_nobody_but_the_table(newdb: Database, tmp_path: Path, cli: RunCli):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, pin int CHECK (pin < 5000), code text UNIQUE)")
    (tmp_path / "rows.csv").write_text("id,pin,code\n1,secret99,a\n2,9911,b\n3,1,hush1\n4,2,hush1\n")
    spec = a_spec(tmp_path, conflict_keys=["id"], sensitive=["pin", "code"], bad_rows="quarantine")

    done = cli("run", spec, "--connection", newdb.url, "--log-level", "debug")
    listed = cli("quarantine", "list", "--connection", newdb.url)

    shown = done.stdout + done.stderr + listed.stdout + listed.stderr
    shown += str(kept(newdb, "message"))
    assert done.returncode == 4
    assert "column pin" in shown
    for secret in ("secret99", "9911", "hush1"):
        assert secret not in shown
    assert kept(newdb, "raw")[0] == (b"1,secret99,a\n",)


def test_first_bad_row_fails_and_others_are_told(newdb: Database, tmp_path: Path, cli: RunCli):
    spec = a_table(newdb, tmp_path, ROWS + "".join(f"x{n},z,1\n" for n in range(30)), bad_rows=None)

    with untouched(newdb):
        done = cli("run", spec, "--connection", newdb.url, "--format", "json")

    (entry,) = json.loads(done.stdout)["specs"]
    assert done.returncode == 1
    assert entry["error"]["location"]["line"] == 3
    assert "rows.csv:7: column id" in entry["error"]["detail"]
    assert len(entry["error"]["detail"].split("\n")) == 20
    assert len(entry["bad_rows"]) == 20


def test_constraint_that_fails_a_run_is_told_with_the_place_of_its_row(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, "id,name,qty\n1,a,1\n2,b,-2\n3,,1\n", bad_rows=None)

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert {str(caught.value.location)} <= {"rows.csv:3", "rows.csv:4"}
    assert "more bad rows:\n    rows.csv:" in str(caught.value.detail)


def test_rows_that_the_table_refuses_are_told_beside_those_that_cannot_be_read(
    newdb: Database, tmp_path: Path
):
    spec = a_table(newdb, tmp_path, bad_rows=None)

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert str(caught.value.location) == "rows.csv:3"
    assert "rows.csv:4: " in str(caught.value.detail)
    assert "rows.csv:5: " in str(caught.value.detail)


def test_retry_loads_what_is_good_by_now(newdb: Database, tmp_path: Path, cli: RunCli):
    newdb.execute("CREATE TABLE p (id int PRIMARY KEY)")
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p, note text)")
    (tmp_path / "rows.csv").write_text('id;p;note\n1;7;"a\nb"\nx;7;c\n2;8;d\n3;;e\n')
    source = {"path": "rows.csv", "delimiter": ";"}
    spec = a_spec(tmp_path, source, mode="mirror", conflict_keys=["id"], bad_rows="quarantine")
    assert cli("run", spec, "--connection", newdb.url).returncode == 4
    newdb.execute("INSERT INTO p VALUES (7)")
    (tmp_path / "rows.csv").write_text("another;file;by now\n")

    done = cli("quarantine", "retry", spec, "--connection", newdb.url, "--format", "json")

    (entry,) = json.loads(done.stdout)["specs"]
    assert done.returncode == 4, done.stdout + done.stderr
    assert (entry["inserted"], entry["quarantined"], entry["deleted"]) == (1, 2, 0)
    assert newdb.execute("SELECT id, p, note FROM t ORDER BY id") == [(1, 7, "a\nb"), (3, None, "e")]
    assert [row[0] is not None for row in kept(newdb, "retried")] == [True, False, False]
    assert cli("quarantine", "retry", spec, "--connection", newdb.url).returncode == 4
    assert len(kept(newdb, "id")) == 3


def test_retry_with_nothing_in_quarantine_does_nothing(newdb: Database, tmp_path: Path, cli: RunCli):
    spec = a_table(newdb, tmp_path)

    done = cli("quarantine", "retry", spec, "--connection", newdb.url)

    assert done.returncode == 0, done.stderr


def test_retry_reads_rows_that_have_no_bytes(newdb: Database, tmp_path: Path, cli: RunCli):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, doc jsonb, qty int CHECK (qty > 0))")
    spec = a_spec(
        tmp_path,
        {"rows": [{"id": 1, "doc": {"a": [1]}, "qty": -1}]},
        conflict_keys=["id"],
        bad_rows="quarantine",
    )
    assert cli("run", spec, "--connection", newdb.url).returncode == 4
    newdb.execute("ALTER TABLE t DROP CONSTRAINT t_qty_check")

    done = cli("quarantine", "retry", spec, "--connection", newdb.url)

    assert done.returncode == 0, done.stderr
    assert newdb.execute("SELECT * FROM t") == [(1, {"a": [1]}, -1)]


def test_exported_rows_are_those_of_the_file(newdb: Database, tmp_path: Path, cli: RunCli):
    spec = a_table(newdb, tmp_path)
    cli("run", spec, "--connection", newdb.url)
    path = tmp_path / "mend.csv"

    done = cli("quarantine", "export", "--to", path, "--spec", "spec", "--connection", newdb.url)

    assert done.returncode == 0, done.stderr
    assert path.read_text() == "id,name,qty\n2,b,x\n3,,3\n4,d,-4\n"


def test_listing_shows_place_reason_and_text(newdb: Database, tmp_path: Path, cli: RunCli):
    spec = a_table(newdb, tmp_path)
    cli("run", spec, "--connection", newdb.url)

    text = cli("quarantine", "list", "--connection", newdb.url).stdout
    rows = json.loads(cli("quarantine", "list", "--format", "json", "--connection", newdb.url).stdout)["rows"]

    assert 'rows.csv:3: column qty: invalid input syntax for type integer: "x"' in text
    assert [row["text"] for row in rows] == ["2,b,x", "3,,3", "4,d,-4"]


@pytest.mark.parametrize("command", ["list", "export"])
def test_what_is_kept_is_shown_without_a_word_about_the_server(command: str, newdb: Database, cli: RunCli):
    done = cli("quarantine", command, "--connection", newdb.url, "--quiet", "--log-format", "json")

    assert (done.returncode, done.stderr) == (0, "")


def test_run_that_fails_keeps_no_bad_rows(newdb: Database, tmp_path: Path):
    spec = a_table(newdb, tmp_path, checks=[{"name": "never", "sql": "SELECT false"}])

    with pytest.raises(SyncError, match="never"):
        syncengine.run(spec, connection=newdb.url)

    assert kept(newdb, "id") == []
    assert engine_tables(newdb) == []


def test_table_that_is_made_gets_the_good_rows(newdb: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("id,name\n1,a\n2\n3,c\n")
    spec = a_spec(
        tmp_path, target={"table": "made", "create": True}, conflict_keys=["id"], bad_rows="quarantine"
    )

    report = run(spec, newdb)

    assert (report.inserted, report.quarantined) == (2, 1)
    assert newdb.execute("SELECT id, name FROM made ORDER BY id") == [(1, "a"), (3, "c")]


def test_specs_of_a_group_keep_their_bad_rows_apart(newdb: Database, tmp_path: Path, cli: RunCli):
    (tmp_path / "syncengine.yaml").write_text("transaction: group\n")
    newdb.execute("CREATE TABLE p (id int PRIMARY KEY)")
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p)")
    (tmp_path / "p.csv").write_text("id\n1\nx\n")
    (tmp_path / "t.csv").write_text("id,p\n1,1\n2,2\ny,1\n")
    for name in ("p", "t"):
        (tmp_path / f"{name}.yaml").write_text(
            f"source: {name}.csv\ntarget: {name}\nconflict_keys: [id]\nbad_rows: quarantine\n"
        )

    done = cli("run", tmp_path / "t.yaml", tmp_path / "p.yaml", "--connection", newdb.url, "--format", "json")

    entries = {entry["name"]: entry for entry in json.loads(done.stdout)["specs"]}
    assert done.returncode == 4, done.stdout
    assert [entries[name]["quarantined"] for name in ("p", "t")] == [1, 2]
    assert newdb.execute("SELECT * FROM t") == [(1, 1)]
    assert engine_tables(newdb) == []
    assert contents(newdb)


def test_key_that_staging_reads_before_it_rounds_is_read(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id numeric(6, 2) PRIMARY KEY, qty int)")
    newdb.execute("INSERT INTO t VALUES (1.5, 1), (2, 2), (3, 3)")
    (tmp_path / "rows.csv").write_text("id,qty\n1.5,x\n2,2\n")
    limits = {"max_deletes": "100%"}
    spec = a_spec(tmp_path, mode="mirror", conflict_keys=["id"], bad_rows="quarantine", limits=limits)

    report = run(spec, newdb)

    assert (report.deleted, report.quarantined, report.suppressed) == (1, 1, False)
    assert newdb.execute("SELECT id::text FROM t ORDER BY id") == [("1.50",), ("2.00",)]


def test_computed_key_of_a_bad_row_is_read(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id text PRIMARY KEY, qty int)")
    newdb.execute("INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)")
    (tmp_path / "rows.csv").write_text("code,part\nA,0\nB,4\n")
    columns = {"id": {"expression": "lower(source.code)"}, "qty": {"expression": "8 / source.part::int"}}
    spec = a_spec(tmp_path, mode="mirror", conflict_keys=["id"], columns=columns, bad_rows="quarantine")

    report = run(spec, newdb)

    assert (report.deleted, report.quarantined, report.suppressed) == (1, 1, False)
    assert newdb.execute("TABLE t ORDER BY id") == [("a", 1), ("b", 2)]


def test_keys_that_a_record_lacks_are_left_alone_beside_bad_rows(newdb: Database, tmp_path: Path):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, name text, qty int)")
    newdb.execute("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)")
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "qty": 5}\n{"id": 2, "name": "x", "qty": "y"}\n')
    source = {"path": "rows.jsonl", "absent": "keep"}

    report = run(a_spec(tmp_path, source, conflict_keys=["id"], bad_rows="quarantine"), newdb)

    assert (report.updated, report.quarantined) == (1, 1)
    assert newdb.execute("TABLE t ORDER BY id") == [(1, "one", 5), (2, "two", 2)]
