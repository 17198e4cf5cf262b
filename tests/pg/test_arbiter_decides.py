"""A run changes the rows that INSERT … ON CONFLICT … DO UPDATE, written by hand, changes: the arbiter decides."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
import pytest

from tests.features import needs
from tests.runs import counts, places, refused, sync
from tests.servers import Database

pytestmark = pytest.mark.every_server

OLD = "; INSERT INTO t VALUES "
CASELESS = (
    "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
    "CREATE TABLE t (k text, v text); "
)
OPERATORS = "".join(
    f"CREATE FUNCTION size_{name}(int, int) RETURNS bool IMMUTABLE STRICT LANGUAGE sql"
    f" AS 'SELECT abs($1) {sign} abs($2)';"
    f"CREATE OPERATOR #{sign}# (LEFTARG = int, RIGHTARG = int, FUNCTION = size_{name});"
    for name, sign in {"lt": "<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">"}.items()
)
# Takes numbers of one size for equal, whatever their sign.
BY_SIZE = (
    f"{OPERATORS} CREATE FUNCTION size_order(int, int) RETURNS int IMMUTABLE STRICT LANGUAGE sql"
    " AS 'SELECT sign(abs($1) - abs($2))::int';"
    "CREATE OPERATOR CLASS by_size FOR TYPE int USING btree AS OPERATOR 1 #<#, OPERATOR 2 #<=#, OPERATOR 3 #=#,"
    " OPERATOR 4 #>=#, OPERATOR 5 #>#, FUNCTION 1 size_order(int, int); CREATE TABLE t (k int, v text); "
)
HEIRS = "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE heir () INHERITS (t);"
PARTIAL = "CREATE TABLE t (k int, v text, n int); CREATE UNIQUE INDEX ON t (k) WHERE n > 5"


@dataclass(frozen=True, kw_only=True)
class Case:
    """`rows` come in for a table whose columns are k, v and perhaps n; only v is updated."""

    ddl: str
    rows: list[tuple[object, ...]]
    key: str = "k"
    where: str | None = None
    spec: dict[str, object] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        return ["k", "v", "n"][: len(self.rows[0])]


CASES = {
    "caseless-index": Case(
        ddl=f"{CASELESS} CREATE UNIQUE INDEX ON t (k COLLATE caseless) {OLD} ('Ada', 'old')",
        rows=[("ada", "new"), ("Bob", "new")],
    ),
    "caseless-index-of-an-expression": Case(
        ddl=f"{CASELESS} CREATE UNIQUE INDEX ON t (trim(k) COLLATE caseless) {OLD} ('Ada', 'old')",
        rows=[("ada ", "new"), ("Bob", "new")],
        key="trim( k )",
    ),
    "caseless-column": Case(
        ddl=f"{CASELESS} ALTER TABLE t ALTER k TYPE text COLLATE caseless, ADD UNIQUE (k) {OLD} ('Ada', 'old')",
        rows=[("ada", "new"), ("Bob", "new")],
    ),
    "exact-index-of-a-caseless-column": Case(
        ddl=f"{CASELESS} ALTER TABLE t ALTER k TYPE text COLLATE caseless;"
        f"CREATE UNIQUE INDEX ON t (k COLLATE \"C\") {OLD} ('Ada', 'old')",
        rows=[("ada", "new"), ("Ada", "new")],
    ),
    "operator-class-of-another-equality": Case(
        ddl=f"{BY_SIZE} CREATE UNIQUE INDEX ON t (k by_size) {OLD} (-1, 'old')", rows=[(1, "new"), (2, "new")]
    ),
    "operator-class-of-an-expression": Case(
        ddl=f"{BY_SIZE} CREATE UNIQUE INDEX ON t ((k + 0) by_size) {OLD} (-1, 'old')",
        rows=[(1, "new"), (2, "new")],
        key="k+0",
    ),
    "operator-class-of-the-same-equality": Case(
        ddl=f"CREATE TABLE t (k char(5), v text); CREATE UNIQUE INDEX ON t (k bpchar_pattern_ops) {OLD} ('a', 'old')",
        rows=[("a ", "new"), ("b", "new")],
    ),
    "citext": Case(
        ddl="CREATE EXTENSION citext SCHEMA public; CREATE TABLE t (k citext, v text);"
        f"CREATE UNIQUE INDEX ON t (k COLLATE \"C\") {OLD} ('Ada', 'old')",
        rows=[("ada", "new"), ("Bob", "new")],
    ),
    "stored-row-outside-the-stated-predicate": Case(
        ddl=f"{PARTIAL} {OLD} (1, 'old', 7), (2, 'old', 3)",
        rows=[(1, "new", 12), (2, "new", 12)],
        where="n > 10",
    ),
    "stated-predicate-and-a-full-index": Case(
        ddl="CREATE TABLE t (k int PRIMARY KEY, v text, n int);"
        f"CREATE UNIQUE INDEX ON t (k) WHERE n > 10 {OLD} (1, 'old', 7)",
        rows=[(1, "new", 12), (2, "new", 12)],
        where="n > 10",
    ),
    "nulls-conflict-in-one-of-two": Case(
        ddl="CREATE TABLE t (k int UNIQUE, v text); CREATE UNIQUE INDEX z ON t (k) NULLS NOT DISTINCT"
        f"{OLD} (NULL, 'old')",
        rows=[(None, "new"), (2, "new")],
    ),
    "key-of-an-heir": Case(
        ddl=f"{HEIRS} INSERT INTO heir VALUES (1, 'old') {OLD} (2, 'old')", rows=[(1, "new"), (2, "new")]
    ),
    "key-of-both": Case(
        ddl=f"{HEIRS} INSERT INTO heir VALUES (1, 'old') {OLD} (1, 'old')", rows=[(1, "new"), (2, "new")]
    ),
    "partition-of-other-columns": Case(
        ddl="CREATE TABLE t (k int, v text) PARTITION BY LIST (k); CREATE TABLE p (x int, v text, k int);"
        "ALTER TABLE p DROP x; ALTER TABLE t ATTACH PARTITION p DEFAULT; ALTER TABLE t ADD PRIMARY KEY (k)"
        f"{OLD} (1, 'old')",
        rows=[(1, "new"), (2, "new")],
    ),
    "trigger-that-changes-the-row": Case(
        ddl="CREATE TABLE t (k int PRIMARY KEY, v text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.v := upper(NEW.v); RETURN NEW; END$$; CREATE TRIGGER f BEFORE INSERT OR UPDATE ON t"
        f" FOR EACH ROW EXECUTE FUNCTION f() {OLD} (1, 'old')",
        rows=[(1, "NEW"), (2, "NEW")],
    ),
}
PARAMS = [pytest.param(case, id=name, marks=needs(case.ddl)) for name, case in CASES.items()]


def prepare(db: Database, ddl: str) -> None:
    try:
        db.execute(ddl)
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(str(error))


def rows_of(db: Database) -> list[tuple[object, ...]]:
    return db.execute('SELECT tableoid::regclass::text, t::text FROM t ORDER BY 1, t::text COLLATE "C"')


def by_hand(db: Database, case: Case) -> list[tuple[object, ...]]:
    """Return the table after the statement that one would write by hand, which is then undone."""
    where = f" WHERE {case.where}" if case.where else ""
    names, values = ", ".join(case.fields), ", ".join(["%s"] * len(case.fields))
    conflict = f"ON CONFLICT (({case.key})){where} DO UPDATE SET v = excluded.v"
    with db.conn.transaction(force_rollback=True):
        for row in case.rows:
            db.execute(f"INSERT INTO t ({names}) VALUES ({values}) {conflict}", row)
        return rows_of(db)


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize("case", PARAMS)
def test_a_run_leaves_the_rows_that_the_statement_by_hand_leaves(
    emptied: Database, case: Case, method: str
) -> None:
    prepare(emptied, case.ddl)
    expected = by_hand(emptied, case)
    spec = {"conflict_keys": [case.key], "update_columns": ["v"], "execution": {"method": method}}
    spec |= {"conflict_where": case.where} if case.where else {}
    source = [dict(zip(case.fields, row, strict=True)) for row in case.rows]

    report = sync(emptied, source, **spec)

    assert rows_of(emptied) == expected
    assert report.inserted + report.updated == len(case.rows)
    before = places(emptied)
    assert counts(sync(emptied, source, **spec)) == {"unchanged": len(case.rows)}
    assert places(emptied) == before


@pytest.mark.parametrize(
    ("ddl", "row"),
    [
        pytest.param(
            f"{CASELESS} CREATE UNIQUE INDEX t_a ON t (k); CREATE UNIQUE INDEX t_b ON t (k COLLATE caseless)",
            {"k": "a", "v": "x"},
            id="collations",
        ),
        pytest.param(
            f"{BY_SIZE} CREATE UNIQUE INDEX t_a ON t (k); CREATE UNIQUE INDEX t_b ON t (k by_size)",
            {"k": 1, "v": "x"},
            id="operator-classes",
        ),
    ],
)
def test_indexes_that_disagree_on_what_is_equal_are_refused(
    emptied: Database, ddl: str, row: dict[str, object]
) -> None:
    """The server takes both; which rows one statement then updates, no single comparison tells."""
    prepare(emptied, ddl)

    error = refused(emptied, [row], conflict_keys=["k"])

    assert error.code == "no-arbiter-index"
    assert "t_a (k) and t_b (k) arbitrate both, but do not take the same values for equal" in str(error)


def test_keys_that_only_the_index_takes_for_equal_are_duplicates(emptied: Database) -> None:
    prepare(emptied, f"{CASELESS} CREATE UNIQUE INDEX ON t (k COLLATE caseless)")
    source = [{"k": "ada", "v": "1"}, {"k": "ADA", "v": "2"}]

    error = refused(emptied, source, conflict_keys=["k"])
    report = sync(emptied, source, conflict_keys=["k"], duplicates="last")

    assert error.code == "duplicate-keys"
    assert counts(report) == {"inserted": 1, "duplicates": 1}
    assert emptied.execute("SELECT * FROM t") == [("ADA", "2")]


def test_rows_outside_the_stated_predicate_are_an_error_though_they_could_conflict(emptied: Database) -> None:
    emptied.execute(f"{PARTIAL} {OLD} (1, 'old', 7)")
    spec = {"conflict_keys": ["k"], "conflict_where": "n > 10", "update_columns": ["v"]}

    error = refused(emptied, [{"k": 1, "v": "new", "n": 7}], **spec)
    report = sync(
        emptied, [{"k": 1, "v": "new", "n": 7}, {"k": 1, "v": "x", "n": 1}], null_keys="insert", **spec
    )

    assert error.code == "null-keys"
    assert counts(report) == {"updated": 1, "inserted": 1}


@pytest.mark.parametrize("mode", ["mirror", "replace"])
def test_rows_of_tables_that_inherit_are_not_deleted(emptied: Database, mode: str) -> None:
    emptied.execute(f"{HEIRS} INSERT INTO heir VALUES (3, 'heir') {OLD} (2, 'old')")
    keys = {"conflict_keys": ["k"]} if mode == "mirror" else {}

    report = sync(emptied, [{"k": 1, "v": "new"}], mode=mode, limits={"max_deletes": "100%"}, **keys)

    assert (report.inserted, report.deleted) == (1, 1)
    assert rows_of(emptied) == [("heir", "(3,heir)"), ("t", "(1,new)")]
