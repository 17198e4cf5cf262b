"""`lookups` (docs/spec.md §2; §11, rule 11): surrogate keys found by natural ones, as joins in staging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import syncengine
from tests.builders import a_spec, contents
from tests.calls import Call, caller
from tests.runs import counts, refused, sync
from tests.servers import Database

METHODS = ["staged", "rows"]
A, B = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
TABLES = f"""
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE customers (
    id int PRIMARY KEY, code text UNIQUE, region text, n int, big bigint, ref uuid, mail citext, day date, num numeric
);
INSERT INTO customers VALUES
    (10, 'ada', 'eu', 1, 1, '{A}', 'Ada@x', '2024-01-31', 1.0),
    (20, 'bob', 'us', 2, 2, '{B}', 'Bob@x', '2024-02-01', 2.50),
    (30, 'cy', 'eu', 2, 3, NULL, NULL, NULL, NULL);
CREATE TABLE t (id int PRIMARY KEY, customer_id int REFERENCES customers, payer_id int REFERENCES customers, v text)"""


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCENGINE_URL", emptied.url)
    emptied.execute(TABLES)
    return emptied


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def look(match: dict[str, object], **more: object) -> dict[str, Any]:
    """Return a spec whose `customer_id` is looked up among the customers."""
    return {
        "conflict_keys": ["id"],
        "lookups": {"customer_id": {"table": "customers", "match": match, **more}},
    }


def found(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, customer_id FROM t ORDER BY id")


@pytest.mark.parametrize(
    ("match", "values"),
    [
        pytest.param({"code": "source.k"}, ["ada", "bob"], id="text"),
        pytest.param({"n": "source.k", "region": "'us'"}, ["2"], id="integer"),
        pytest.param({"n": "source.k", "region": "'us'"}, ["02"], id="an-integer-written-another-way"),
        pytest.param({"big": "source.k"}, ["1", "2"], id="bigint"),
        pytest.param({"ref": "source.k"}, [A, B.replace("-", "")], id="uuid"),
        pytest.param({"mail": "source.k"}, ["ADA@X", "bob@x"], id="citext"),
        pytest.param({"day": "source.k"}, ["2024-01-31", "20240201"], id="date"),
        pytest.param({"num": "source.k"}, ["1.00", "2.5"], id="numeric"),
        pytest.param({"code": "lower(trim(source.k))"}, [" ADA ", "Bob"], id="an-expression"),
        pytest.param({"code": "source.k", "region": "source.r"}, ["ada", "bob"], id="two-columns"),
        pytest.param({"id": "source.k"}, ["10", "20"], id="the-surrogate-key-itself"),
        pytest.param({'"code"': "source.k"}, ["ada", "bob"], id="a-quoted-column"),
        pytest.param({"CODE": "source.k"}, ["ada", "bob"], id="a-column-in-capitals"),
    ],
)
def test_a_natural_key_finds_its_row(db: Database, match: dict[str, object], values: list[str]):
    ids = [20] if "us" in str(match) else [10, 20]
    regions = {10: "eu", 20: "us"}
    source = [{"id": number, "k": value, "r": regions[ids[number]]} for number, value in enumerate(values)]
    spec = look(match) | {"ignore_fields": "*"}

    report = sync(db, source, **spec)

    assert counts(report) == {"inserted": len(values)}
    assert found(db) == list(enumerate(ids[: len(values)]))
    assert counts(sync(db, source, **spec)) == {"unchanged": len(values)}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("method", ["auto", "staged"])
def test_what_is_not_found_is_told_with_its_lines(
    db: Database, call: Call, tmp_path: Path, name: str, method: str
):
    records = [("1", "ada"), ("2", "nobody"), ("3", "bob"), ("4", "nobody"), ("5", "else")]
    text = "id,code\n" + "".join(f"{one},{two}\n" for one, two in records)
    if name.endswith("jsonl"):
        text = "".join(json.dumps({"id": int(one), "code": two}) + "\n" for one, two in records)
    Path(name).write_text(text)
    path = a_spec(tmp_path, name, **look({"code": "source.code"}), execution={"method": method})
    before = contents(db)

    for command in (["plan", "--diff"], ["run"]):
        done = call(*command, path, "--format", "json")
        error = done.spec["error"]
        assert (done.code, error["code"]) == (1, "unresolved-lookup")
        assert error["message"] == "natural keys that no row of public.customers has: 2"
        first = 2 if name.endswith("csv") else 1
        lines = ", ".join(f"{name}:{first + place}" for place in (1, 3, 4))
        assert error["detail"].endswith(f"; at {lines}")
        assert {'{"code" : "nobody"}', '{"code" : "else"}'} == set(
            error["detail"].split("; at ")[0].split("; ")
        )
        assert error["location"]["file"].endswith("spec.yaml")
        assert error["location"]["line"] > 0
    after = contents(db)
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("missing", [None, "null"])
def test_with_missing_null_what_is_not_found_is_null(db: Database, missing: str | None, method: str):
    source = [{"id": 1, "code": "ada"}, {"id": 2, "code": "nobody"}, {"id": 3, "code": None}]

    report = sync(db, source, **look({"code": "source.code"}, missing=missing), execution={"method": method})

    assert counts(report) == {"inserted": 3}
    assert found(db) == [(1, 10), (2, None), (3, None)]


@pytest.mark.parametrize(
    ("match", "row", "shown"),
    [
        pytest.param({"code": "source.a"}, {"a": None}, '{"code" : null}', id="alone"),
        pytest.param(
            {"code": "source.a", "region": "source.b"},
            {"a": "ada", "b": None},
            '{"code" : "ada", "region" : null}',
            id="a-part",
        ),
        pytest.param({"ref": "nullif(source.a, '')"}, {"a": ""}, '{"ref" : null}', id="of-an-expression"),
    ],
)
def test_a_null_natural_key_finds_nothing_even_where_null_is_stored(
    db: Database, match: dict[str, object], row: dict[str, object], shown: str
):
    error = refused(db, [{"id": 1, **row}], **look(match), ignore_fields="*")

    assert (error.code, error.exit_code) == ("unresolved-lookup", 1)
    assert (error.detail or "").startswith(shown)


@pytest.mark.parametrize("missing", ["error", "null"])
@pytest.mark.parametrize("method", METHODS)
def test_a_natural_key_that_several_rows_have_is_an_error(db: Database, missing: str, method: str):
    source = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]

    error = refused(db, source, **look({"n": "source.n"}, missing=missing), execution={"method": method})

    assert (error.code, error.exit_code) == ("unresolved-lookup", 1)
    assert error.message == "natural keys that several rows of public.customers have: 1"
    assert (error.detail or "").startswith('{"n" : 2}')
    assert found(db) == []


def test_rows_that_no_one_asks_for_may_be_ambiguous(db: Database):
    assert counts(sync(db, [{"id": 1, "n": 1}], **look({"n": "source.n"}))) == {"inserted": 1}


def test_two_columns_look_in_one_table(db: Database):
    def one(field: str) -> dict[str, object]:
        return {"table": "customers", "match": {"code": f"source.{field}"}, "missing": None}

    source = [{"id": 1, "buyer": "ada", "payer": "bob"}, {"id": 2, "buyer": "cy", "payer": None}]

    sync(db, source, conflict_keys=["id"], lookups={"customer_id": one("buyer"), "payer_id": one("payer")})

    assert db.execute("SELECT id, customer_id, payer_id FROM t ORDER BY id") == [(1, 10, 20), (2, 30, None)]


# A field with the column's own name is what is looked up, or it is left out; it is never loaded beside the lookup.
def test_a_field_called_like_the_column_can_be_what_is_looked_up(db: Database):
    sync(db, [{"id": 1, "customer_id": "bob"}], **look({"code": "source.customer_id"}))

    assert found(db) == [(1, 20)]


def test_a_field_called_like_the_column_and_used_nowhere_is_an_error(db: Database):
    error = refused(db, [{"id": 1, "customer_id": 10, "code": "bob"}], **look({"code": "source.code"}))

    assert error.exit_code == 3
    assert "customer_id" in error.message


@pytest.mark.parametrize(
    ("lookups", "says"),
    [
        pytest.param(
            {"customer_id": {"table": "nope", "match": {"code": "source.code"}}},
            "table public.nope does not exist",
            id="no-table",
        ),
        pytest.param(
            {"customer_id": {"table": "customers", "match": {"kode": "source.code"}}},
            "public.customers has no column 'kode'",
            id="no-column-to-match",
        ),
        pytest.param(
            {"customer_id": {"table": "customers", "match": {"code": "source.kode"}}},
            "the source has no field 'kode'",
            id="no-field",
        ),
        pytest.param(
            {"nope": {"table": "customers", "match": {"code": "source.code"}}},
            "public.t has no column 'nope'",
            id="no-column-to-fill",
        ),
        pytest.param(
            {"customer_id": {"table": "customers", "match": {"code": "source.code"}, "select": "nope"}},
            "public.customers has no column 'nope'",
            id="no-column-to-take",
        ),
        pytest.param(
            {"v": {"table": "keyless", "match": {"code": "source.code"}}},
            "which column of public.keyless to take is not clear",
            id="no-key-to-take",
        ),
        pytest.param(
            {"customer_id": {"table": "customers", "match": {"code": "source.code + 1"}}},
            "operator does not exist",
            id="an-expression-that-does-not-fit",
        ),
        pytest.param(
            {"customer_id": {"table": "docs", "match": {"j": "source.code"}}},
            "can't be matched",
            id="a-type-without-equality",
        ),
        pytest.param(
            {
                "customer_id": {"table": "customers", "match": {"code": "source.code"}},
                "CUSTOMER_ID": {"table": "customers", "match": {"code": "source.code"}},
            },
            "column customer_id is there twice",
            id="one-column-twice",
        ),
    ],
)
def test_what_a_lookup_names_must_be_there(
    db: Database, call: Call, tmp_path: Path, lookups: dict[str, object], says: str
):
    db.execute("CREATE TABLE keyless (code text, x text); CREATE TABLE docs (id int PRIMARY KEY, j json)")
    Path("t.csv").write_text("id,code\n1,ada\n")
    path = a_spec(tmp_path, "t.csv", conflict_keys=["id"], lookups=lookups)

    for command in (["plan"], ["plan", "--diff"], ["run"]):
        done = call(*command, path, "--format", "json")
        errors = [spec["error"] for spec in done.document["specs"]]
        assert done.code == 3
        assert any(says in error["message"] for error in errors), errors
        assert all(error["location"]["line"] for error in errors), errors


def test_the_stated_column_is_taken(db: Database):
    sync(
        db,
        [{"id": 1, "code": "bob"}],
        conflict_keys=["id"],
        lookups={"v": {"table": "customers", "match": {"code": "source.code"}, "select": "region"}},
    )

    assert db.execute("SELECT id, v FROM t") == [(1, "us")]


def test_the_column_that_a_foreign_key_names_is_taken_before_the_primary_key(db: Database):
    db.execute("CREATE TABLE u (id int PRIMARY KEY, customer text REFERENCES customers (code))")

    sync(
        db,
        [{"id": 1, "n": 1}],
        target="u",
        conflict_keys=["id"],
        lookups={"customer": {"table": "customers", "match": {"n": "source.n"}}},
    )

    assert db.execute("SELECT * FROM u") == [(1, "ada")]


@pytest.mark.parametrize(
    "relation",
    ["VIEW active AS", "MATERIALIZED VIEW active AS", "TABLE active AS"],
    ids=["view", "materialized-view", "table-without-an-index"],
)
def test_other_relations_can_be_looked_in(db: Database, relation: str):
    db.execute(f"CREATE {relation} SELECT id, code FROM customers WHERE region = 'eu'")
    lookup = {"table": "active", "match": {"code": "source.code"}, "select": "id", "missing": None}

    sync(
        db,
        [{"id": 1, "code": "ada"}, {"id": 2, "code": "bob"}],
        conflict_keys=["id"],
        lookups={"customer_id": lookup},
    )

    assert found(db) == [(1, 10), (2, None)]


@pytest.mark.parametrize("mode", ["upsert", "mirror"])
def test_the_target_itself_can_be_looked_in(db: Database, mode: str):
    db.execute("CREATE TABLE tree (id int PRIMARY KEY, name text UNIQUE, parent int REFERENCES tree)")
    db.execute("INSERT INTO tree VALUES (1, 'root', NULL), (2, 'leaf', NULL)")
    lookup = {"table": "tree", "match": {"name": "source.up"}, "missing": None}
    source = [{"id": 1, "name": "root", "up": None}, {"id": 2, "name": "leaf", "up": "root"}]

    report = sync(db, source, target="tree", mode=mode, conflict_keys=["id"], lookups={"parent": lookup})

    assert counts(report) == {"updated": 1, "unchanged": 1}
    assert db.execute("SELECT * FROM tree ORDER BY id") == [(1, "root", None), (2, "leaf", 1)]


@pytest.mark.parametrize(
    ("grants", "says"),
    [
        pytest.param("", "may not read public.customers", id="none"),
        pytest.param(
            "GRANT SELECT (id) ON customers TO {role}", "may not read public.customers", id="one-column-short"
        ),
        pytest.param("GRANT SELECT (id, code) ON customers TO {role}", None, id="just-the-columns"),
        pytest.param("GRANT SELECT ON customers TO {role}", None, id="the-table"),
    ],
)
def test_the_role_needs_the_right_to_read_what_it_looks_in(db: Database, grants: str, says: str | None):
    role = f"reader_{db.name}"
    db.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON t TO {role}; GRANT USAGE ON SCHEMA public TO {role}"
    )
    try:
        if grants:
            db.execute(grants.format(role=role))
        spec = {"name": "t", "target": "t", **look({"code": "source.code"})}
        url = make_conninfo(db.direct, user=role, password="x")
        if says is None:
            assert syncengine.run(spec, source=[{"id": 1, "code": "ada"}], connection=url).inserted == 1
            return
        with pytest.raises(syncengine.SyncError) as failure:
            syncengine.run(spec, source=[{"id": 1, "code": "ada"}], connection=url)
        assert failure.value.exit_code == 3
        assert says in failure.value.message
        assert "GRANT SELECT (id, code) ON public.customers" in (failure.value.hint or "")
    finally:
        db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize(
    ("duplicates", "kept"),
    [
        pytest.param("first", "one", id="first"),
        pytest.param("last", "three", id="last"),
        pytest.param({"keep": "max", "by": "v"}, "two", id="max"),
        pytest.param({"keep": "min", "by": "v"}, "one", id="min"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_looked_up_key_keeps_one_row_of_several_in_the_sources_order(
    db: Database, duplicates: object, kept: str, method: str
):
    db.execute("CREATE TABLE balance (customer_id int PRIMARY KEY, v text)")
    source = [
        {"code": "bob", "v": "x"},
        {"code": "ada", "v": "one"},
        {"code": "ada", "v": "two"},
        {"code": "ada", "v": "three"},
    ]
    lookup = {"table": "customers", "match": {"code": "source.code"}, "select": "id"}

    report = sync(
        db,
        source,
        target="balance",
        conflict_keys=["customer_id"],
        duplicates=duplicates,
        lookups={"customer_id": lookup},
        execution={"method": method},
    )

    assert counts(report) == {"inserted": 2, "duplicates": 2}
    assert db.execute("SELECT v FROM balance WHERE customer_id = 10") == [(kept,)]


def test_a_looked_up_key_with_two_rows_is_an_error_by_default(db: Database):
    db.execute("CREATE TABLE balance (customer_id int PRIMARY KEY, v text)")
    lookup = {"table": "customers", "match": {"code": "source.code"}, "select": "id"}
    source = [{"code": "ada", "v": "1"}, {"code": "ada", "v": "2"}]

    error = refused(
        db, source, target="balance", conflict_keys=["customer_id"], lookups={"customer_id": lookup}
    )

    assert error.code == "duplicate-keys"
    assert '{"customer_id" : 10}' in (error.detail or "")


def test_a_looked_up_key_that_is_not_found_is_a_null_key(db: Database):
    db.execute("CREATE TABLE balance (customer_id int UNIQUE, v text)")
    lookup = {"table": "customers", "match": {"code": "source.code"}, "select": "id", "missing": None}
    spec = {"target": "balance", "conflict_keys": ["customer_id"], "lookups": {"customer_id": lookup}}

    assert refused(db, [{"code": "nobody", "v": "1"}], **spec).code == "null-keys"
    assert counts(sync(db, [{"code": "nobody", "v": "1"}], null_keys="insert", **spec)) == {"inserted": 1}


@pytest.mark.parametrize("mode", ["insert", "ignore", "upsert", "update", "mirror", "replace"])
def test_lookups_work_in_every_mode(db: Database, mode: str):
    db.execute("INSERT INTO t VALUES (1, 30, NULL, 'old')")
    spec = look({"code": "source.code"}) | {"mode": mode}
    number = 2 if mode == "insert" else 1
    if mode == "insert":
        spec.pop("conflict_keys")

    sync(db, [{"id": number, "code": "bob"}], **spec)

    expected = {"ignore": [(1, 30)], "insert": [(1, 30), (2, 20)]}
    assert found(db) == expected.get(mode, [(1, 20)])


def test_history_compares_what_was_looked_up(db: Database):
    db.execute("CREATE TABLE h (id int, customer_id int, valid_from timestamptz, valid_to timestamptz)")
    lookup = {"table": "customers", "match": {"code": "source.code"}, "select": "id"}
    spec = {"target": "h", "mode": "history", "conflict_keys": ["id"], "lookups": {"customer_id": lookup}}
    sync(db, [{"id": 1, "code": "ada"}], **spec)

    assert counts(sync(db, [{"id": 1, "code": "ada"}], **spec)) == {"unchanged": 1}
    assert counts(sync(db, [{"id": 1, "code": "bob"}], **spec)) == {"updated": 1}


def test_a_created_table_gets_the_type_of_what_is_looked_up(db: Database):
    lookup = {"table": "customers", "match": {"code": "source.code"}, "select": "id"}

    sync(
        db,
        [{"id": 1, "code": "bob"}],
        target={"table": "fresh", "create": True},
        conflict_keys=["id"],
        lookups={"customer_id": lookup},
    )

    assert db.execute("SELECT id, customer_id, pg_typeof(customer_id)::text FROM fresh") == [
        (1, 20, "integer")
    ]


def test_a_natural_key_of_another_type_is_told_with_its_place(db: Database, call: Call, tmp_path: Path):
    Path("t.csv").write_text("id,n\n1,1\n2,x\n")
    path = a_spec(tmp_path, "t.csv", **look({"n": "source.n"}))

    done = call("run", path, "--format", "json")

    error = done.spec["error"]
    assert (done.code, error["code"]) == (1, "bad-row")
    assert 'invalid input syntax for type integer: "x"' in error["message"]
    assert error["location"] is not None


def test_what_another_spec_of_the_call_publishes_first_can_be_looked_up(
    db: Database, call: Call, tmp_path: Path
):
    Path("customers.csv").write_text("id,code\n40,dan\n")
    Path("t.csv").write_text("id,code\n1,dan\n")
    Path("all.yaml").write_text(
        "name: orders\nsource: t.csv\ntarget: t\nconflict_keys: [id]\n"
        "lookups: {customer_id: {table: customers, match: {code: source.code}}}\n"
        "---\nname: customers\nsource: customers.csv\ntarget: customers\nconflict_keys: [id]\n"
    )

    done = call("run", "all.yaml")

    assert done.code == 0, done.out
    assert found(db) == [(1, 40)]
