"""`sensitive`: values of these columns stay out of samples, errors, logs and documents, whoever would quote them."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.builders import a_spec
from tests.calls import Call, caller
from tests.runs import refused, sync
from tests.servers import Database

# Every sensitive value holds this word, and nothing else does.
SECRET = "hush"
TABLE = """
CREATE TABLE people (id int PRIMARY KEY, phone text UNIQUE);
INSERT INTO people VALUES (1, 'hush-1'), (2, 'hush-2'), (3, 'hush-2b');
CREATE TABLE t (id int PRIMARY KEY, email text, pin int, note text, born date, doc jsonb, person int);
CREATE UNIQUE INDEX t_email ON t (email);
INSERT INTO t (id, email, note) VALUES (1, 'hush-one', 'a'), (2, 'hush-two', 'b'), (3, 'hush-three', 'c')"""
SENSITIVE = ["email", "pin", "born", "doc"]


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCENGINE_URL", emptied.url)
    emptied.execute(TABLE)
    return emptied


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def csv(*lines: str) -> str:
    Path("t.csv").write_text("\n".join(lines) + "\n")
    return "t.csv"


def jsonl(*records: dict[str, Any] | str) -> str:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    Path("t.jsonl").write_text("\n".join(lines) + "\n")
    return "t.jsonl"


def trigger(body: str) -> str:
    return (
        f"CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} RETURN NEW; END$$;"
        "CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION judge()"
    )


ID = {"conflict_keys": ["id"]}
EMAIL = {"conflict_keys": ["email"]}
LOOK = {"person": {"table": "people", "match": {"phone": "source.phone"}}}

# (what the table gets first, keys of the spec, lines of a CSV or None, records of JSON, the error's code, what it says)
LEAKS = [
    pytest.param(
        "",
        ID,
        ["id,email", "7,hush-one"],
        "database-error",
        ["t_email", "Key (email)=(***)"],
        id="unique-violation",
    ),
    pytest.param("", ID, ["id,pin", "7,hush"], "bad-row", ["column pin", "t.csv:2"], id="no-number"),
    pytest.param("", ID, ["id,born", "7,hush"], "bad-row", ["column born", "t.csv:2"], id="no-date"),
    pytest.param("", ID, ["id,doc", '7,"{hush}"'], "bad-row", ["column doc", "t.csv:2"], id="no-json"),
    pytest.param(
        "",
        ID | {"columns": {"pin": {"expression": "CAST(source.code AS int)"}}},
        ["id,code", "7,hush"],
        "bad-row",
        ["column pin"],
        id="no-number-in-an-expression",
    ),
    pytest.param(
        "",
        ID | {"columns": {"pin": "code"}},
        ["id,code", "7,hush"],
        "bad-row",
        ["t.csv:2"],
        id="no-number-in-a-field-of-another-name",
    ),
    pytest.param(
        "ALTER TABLE t ADD CHECK (email NOT LIKE '%!')",
        ID,
        ["id,email", "7,hush!"],
        "bad-row",
        ["t_email_check"],
        id="check-constraint",
    ),
    pytest.param(
        "ALTER TABLE t ALTER note SET NOT NULL",
        ID,
        ["id,email,note", "7,hush,"],
        "bad-row",
        ["note"],
        id="not-null",
    ),
    pytest.param(
        "ALTER TABLE t ADD EXCLUDE (email WITH =)",
        ID,
        ["id,email", "7,hush-two"],
        "database-error",
        ["SQLSTATE 23"],
        id="exclusion",
    ),
    pytest.param(
        "ALTER TABLE t ADD FOREIGN KEY (email) REFERENCES people (phone) NOT VALID",
        ID,
        ["id,email", "7,hush-9"],
        "bad-row",
        ["t_email_fkey", "Key (email)=(***)"],
        id="foreign-key",
    ),
    pytest.param(
        "ALTER TABLE t ADD FOREIGN KEY (email) REFERENCES people (phone) DEFERRABLE INITIALLY DEFERRED NOT VALID",
        ID,
        ["id,email", "7,hush-9"],
        "bad-row",
        ["t_email_fkey"],
        id="foreign-key-at-the-commit",
    ),
    pytest.param(
        "CREATE DOMAIN mail AS text CHECK (VALUE NOT LIKE '%!'); ALTER TABLE t ALTER email TYPE mail",
        ID,
        ["id,email", "7,hush!"],
        "bad-row",
        ["mail_check"],
        id="domain",
    ),
    pytest.param(
        "CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE t DROP email; ALTER TABLE t ADD email mood",
        ID,
        ["id,email", "7,hush"],
        "bad-row",
        ["column email"],
        id="enum",
    ),
    pytest.param(
        trigger(
            "RAISE EXCEPTION 'bad e-mail %', NEW.email USING HINT = 'not ' || NEW.email, DETAIL = NEW.email;"
        ),
        ID,
        ["id,email", "7,hush"],
        "database-error",
        ["PL/pgSQL function", "SQLSTATE P0001"],
        id="raised-by-a-trigger",
    ),
    pytest.param(
        trigger("RAISE EXCEPTION 'bad e-mail %', NEW.email USING ERRCODE = 'check_violation';"),
        ID,
        ["id,email", "7,hush"],
        "bad-row",
        ["PL/pgSQL function", "SQLSTATE 23514"],
        id="raised-with-another-code",
    ),
    pytest.param(
        trigger("INSERT INTO people VALUES (NEW.id, NEW.email);"),
        ID,
        ["id,email", "7,hush-1"],
        "database-error",
        ["people_phone_key"],
        id="unique-violation-in-another-table",
    ),
    pytest.param(
        trigger("NEW.pin := NEW.email::int;"),
        ID,
        ["id,email", "7,hush"],
        "bad-row",
        ["SQLSTATE 22P02"],
        id="in-a-trigger",
    ),
    pytest.param(
        "",
        EMAIL,
        ["id,email,note", "7,hush,a", "8,hush,b"],
        "duplicate-keys",
        ['{"email": "***"}', "t.csv:2, t.csv:3"],
        id="duplicate-keys",
    ),
    pytest.param(
        "DROP INDEX t_email; CREATE UNIQUE INDEX ON t (lower(email))",
        {"conflict_keys": ["lower(email)"]},
        ["id,email,note", "7,HUSH,a", "8,hush,b"],
        "duplicate-keys",
        ['{"lower(email)": "***"}'],
        id="duplicate-expressions",
    ),
    pytest.param(
        "DROP INDEX t_email; CREATE UNIQUE INDEX ON t (email, note)",
        {"conflict_keys": ["email", "note"]},
        ["id,email,note", "7,hush,"],
        "null-keys",
        ['{"email": "***", "note": null}', "t.csv:2"],
        id="null-keys",
    ),
    pytest.param(
        "DROP INDEX t_email; UPDATE t SET email = 'hush'",
        EMAIL | {"mode": "update"},
        ["email,note", "hush,x"],
        "ambiguous-key",
        ['{"email": "***"}'],
        id="ambiguous-key",
    ),
    pytest.param(
        "",
        ID | {"lookups": LOOK, "columns": {"email": {"expression": "source.phone"}}},
        ["id,phone", "7,hush"],
        "unresolved-lookup",
        ['{"phone": "***"}', "t.csv:2"],
        id="a-lookup-by-what-is-loaded-as-a-sensitive-column",
    ),
    pytest.param(
        "ALTER TABLE people DROP CONSTRAINT people_phone_key; UPDATE people SET phone = 'hush'",
        ID | {"lookups": LOOK, "sensitive": ["person"]},
        ["id,phone", "7,hush"],
        "unresolved-lookup",
        ['{"phone": "***"}'],
        id="an-ambiguous-lookup-of-a-sensitive-column",
    ),
    pytest.param(
        "CREATE TABLE child (email text REFERENCES t (email) ON DELETE CASCADE); INSERT INTO child VALUES ('hush-one')",
        ID | {"mode": "mirror"},
        ["id,email", "2,hush-two", "3,hush-three"],
        "would-cascade",
        ['{"email": "***"}'],
        id="cascade",
    ),
    pytest.param(
        "",
        ID | {"after": ["SELECT email::int FROM t"]},
        ["id,email", "7,hush"],
        "bad-row",
        ["after"],
        id="hook",
    ),
    pytest.param(
        "",
        ID | {"checks": [{"name": "numbers", "sql": "SELECT bool_and(email::int > 0) FROM t"}]},
        ["id,email", "7,hush"],
        "bad-row",
        ["numbers"],
        id="check",
    ),
]


@pytest.mark.parametrize(("setup", "keys", "lines", "code", "says"), LEAKS)
def test_no_error_quotes_a_sensitive_value(
    db: Database,
    call: Call,
    tmp_path: Path,
    setup: str,
    keys: dict[str, Any],
    lines: list[str],
    code: str,
    says: list[str],
):
    if setup:
        db.execute(setup)
    path = a_spec(tmp_path, csv(*lines), **{"sensitive": SENSITIVE, **keys})

    for method in ("rows", "staged"):
        path.write_text(path.read_text().split("execution:")[0] + f"execution: {{method: {method}}}\n")
        done = call("run", path, "--format", "json", "--log-format", "json")
        error = done.spec["error"]
        assert (done.code, error["code"]) == (5 if code == "would-cascade" else 1, code)
        text = " ".join(str(part) for part in error.values()) + str(error["location"] and _place(error))
        assert [word for word in says if word not in text] == []
        assert error["message"].strip()
        assert SECRET not in done.out + done.err
    # For people, and in a preview, which fails at most of it as well.
    for other in (call("run", path, "--log-level", "debug"), call("plan", "--diff", path)):
        assert SECRET not in other.out + other.err


def _place(error: dict[str, Any]) -> str:
    return f"{error['location']['file']}:{error['location']['line']}"


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(['{"id": 7, "email": "hush"'], id="at-the-head"),
        pytest.param(
            [{"id": n, "email": "x"} for n in range(3000)] + ['{"id": 7, "email": hush}'], id="far-below"
        ),
        pytest.param([{"id": 7, "email": "x"}, '"hush"'], id="a-text-alone"),
        pytest.param([{"id": 7, "email": "x"}, '{"id": NaN, "email": "hush"}'], id="not-json"),
        pytest.param([{"id": 7, "email": "x"}, '{"id": 8, "email": "hush\\u0000"}'], id="a-nul-character"),
    ],
)
def test_a_line_that_is_no_json_is_not_shown(db: Database, call: Call, tmp_path: Path, records: list[Any]):
    path = a_spec(tmp_path, jsonl(*records), **ID, sensitive=SENSITIVE)

    for command in (["run"], ["plan", "--diff"], ["plan"]):
        done = call(*command, path, "--format", "json", "--log-format", "json")
        assert SECRET not in done.out + done.err
    assert call("run", path, "--format", "json").spec["error"]["location"]["line"] == len(records)


def test_tracebacks_do_not_show_the_servers_own_words(db: Database):
    rows = [{"id": 7, "email": f"{SECRET}-one"}]
    with pytest.raises(syncengine.SyncError) as failure:
        sync(db, rows, **ID, sensitive=SENSITIVE)

    text = "".join(traceback.format_exception(failure.value))
    assert "t_email" in text
    assert SECRET not in text


# What is known not to be sensitive is told as ever.
@pytest.mark.parametrize(
    ("lines", "keys", "says"),
    [
        pytest.param(
            ["id,email", "x1,hush"],
            {},
            'column id: invalid input syntax for type integer: "x1"',
            id="bad-value",
        ),
        pytest.param(["id,email,note", "1,hush,a", "1,hush,b"], {}, '{"id" : 1}', id="duplicate-keys"),
        pytest.param(
            ["id,email", "1,hush"],
            {"mode": "insert", "conflict_keys": None},
            "Key (id)=(1) already exists",
            id="unique",
        ),
    ],
)
def test_other_columns_are_quoted(db: Database, lines: list[str], keys: dict[str, Any], says: str):
    spec = {"source": csv(*lines), **ID, "sensitive": SENSITIVE, **keys}

    error = refused(db, None, **{key: value for key, value in spec.items() if value is not None})

    text = f"{error.message} {error.detail}"
    assert says in text
    assert SECRET not in text


def test_without_sensitive_columns_errors_are_told_in_full(db: Database):
    error = refused(db, [{"id": 7, "email": "hush-one"}], **ID)

    assert "Key (email)=(hush-one) already exists" in (error.detail or "")


# Samples
@pytest.mark.parametrize("view", ["text", "json"])
@pytest.mark.parametrize("mode", ["insert", "upsert", "update", "mirror", "replace", "history"])
def test_samples_show_that_a_value_changes_but_not_which(
    db: Database, call: Call, tmp_path: Path, mode: str, view: str
):
    db.execute("ALTER TABLE t ADD valid_from timestamptz DEFAULT now(), ADD valid_to timestamptz")
    if mode == "history":
        db.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; DROP INDEX t_email")
    keys: dict[str, Any] = ID if mode != "insert" else {}
    lines = ["id,email,note", "1,hush-new,a", "2,hush-two,new", "8,hush-eight,d"]
    lines = ["id,email,note", "8,hush-eight,d"] if mode == "insert" else lines
    path = a_spec(
        tmp_path, csv(*lines), mode=mode, **keys, sensitive=["EMAIL"], limits={"max_deletes": "100%"}
    )

    done = call("plan", "--diff", path, "--format", view)

    assert done.code == 0
    assert SECRET not in done.out + done.err
    if view == "text":
        assert "email" in done.out
        return
    samples = {(row["op"], (row["new"] or row["old"]).get("note")): row for row in done.spec["samples"]}
    if mode != "update":
        assert samples["insert", "d"]["new"]["email"] == "***"
    if mode != "insert":
        assert samples["update", "a"]["new"]["email"] == "***(changed)"
        assert samples["update", "new"]["new"]["email"] == "***"
        assert samples["update", "new"]["old"]["note"] == "b"


@pytest.mark.parametrize(
    ("index", "keys", "name"),
    [
        pytest.param("(email)", ["email"], "email", id="a-column"),
        pytest.param("(lower(email))", ["lower(email)"], "lower(email)", id="an-expression"),
        pytest.param("(id, lower(email))", ["id", "lower(email)"], "lower(email)", id="a-part"),
    ],
)
def test_sensitive_keys_are_masked_in_samples(
    db: Database, call: Call, tmp_path: Path, index: str, keys: list[str], name: str
):
    db.execute(f"DROP INDEX t_email; CREATE UNIQUE INDEX ON t {index}")
    lines = ["id,email,note", "1,hush-one,new", "9,hush-nine,d"]
    path = a_spec(
        tmp_path,
        csv(*lines),
        mode="mirror",
        conflict_keys=keys,
        sensitive=["email"],
        limits={"max_deletes": 9},
    )

    done = call("plan", "--diff", path, "--format", "json")

    assert {row["op"] for row in done.spec["samples"]} == {"insert", "update", "delete"}
    assert {row["key"][name] for row in done.spec["samples"]} == {"***"}
    assert SECRET not in done.out
    assert SECRET not in call("plan", "--diff", path).out


def test_what_is_asked_for_by_returning_is_not_masked(db: Database):
    sync(
        db,
        [{"id": 7, "email": "hush"}],
        **ID,
        sensitive=SENSITIVE,
        returning={"columns": ["email"], "to": "o.csv"},
    )

    assert "hush" in Path("o.csv").read_text()


def test_a_sensitive_column_that_is_not_there_is_refused_with_its_place(
    db: Database, call: Call, tmp_path: Path
):
    path = a_spec(tmp_path, csv("id,email", "1,x"), **ID, sensitive=["email", "mail"])

    done = call("plan", path, "--format", "json")

    assert done.code == 3
    assert done.spec["error"]["message"] == "public.t has no column 'mail'"
    assert done.spec["error"]["location"]["line"] == path.read_text().splitlines().index("- mail") + 1


def test_sensitive_columns_of_a_table_to_be_created(db: Database, call: Call, tmp_path: Path):
    source = csv("id,email", "1,hush", "1,hush2")
    path = a_spec(
        tmp_path, source, {"table": "fresh", "create": True}, conflict_keys=["email"], sensitive=["email"]
    )

    done = call("plan", "--diff", path, "--format", "json")
    assert (done.code, done.spec["inserted"]) == (0, 2)
    assert SECRET not in done.out + done.err

    csv("id,email", "1,hush", "2,hush")
    done = call("run", path, "--format", "json")
    assert done.spec["error"]["code"] == "duplicate-keys"
    assert SECRET not in done.out + done.err


def test_a_group_that_fails_at_its_end_masks_the_columns_of_all_its_specs(
    db: Database, call: Call, tmp_path: Path
):
    db.execute(
        "ALTER TABLE t ADD FOREIGN KEY (email) REFERENCES people (phone) DEFERRABLE INITIALLY DEFERRED NOT VALID"
    )
    Path("syncengine.yaml").write_text("transaction: group\n")
    Path("people.csv").write_text("id,phone\n8,x\n")
    csv("id,email", "7,hush")
    Path("all.yaml").write_text(
        "name: t\nsource: t.csv\ntarget: t\nconflict_keys: [id]\nsensitive: [email]\n"
        "---\nname: people\nsource: people.csv\ntarget: people\nconflict_keys: [id]\n"
    )

    done = call("run", "all.yaml", "--format", "json")

    assert done.code == 1
    assert "t_email_fkey" in done.out
    assert SECRET not in done.out + done.err
