"""find_arbiter against PostgreSQL's own inference, over tables with all sorts of indexes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier

from syncengine.arbiter import create_index_hint, find_arbiter, pick_inferred, quote_if_needed
from syncengine.catalog import server_arbiter, table_facts
from tests.features import needs
from tests.servers import Database, Server

pytestmark = pytest.mark.every_server


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Database]:
    """One database for all tests of the module."""
    with server.database() as database:
        yield database


@pytest.fixture
def db(shared: Database) -> Iterator[Database]:
    """Hand out the shared database, and drop the table `t` afterwards."""
    yield shared
    shared.execute("DROP TABLE IF EXISTS t")


UNIQUE = "CREATE UNIQUE INDEX ON t"
TABLE = "CREATE TABLE t (a int, b int, c text, v varchar(9), d timestamptz, live boolean, r int4range)"
PARTS = "CREATE TABLE t (a int, b int, c text) PARTITION BY LIST (a)"


def probe(keys: list[str], predicate: str | None) -> Composed:
    """Return an INSERT of one row; keys with a sign in them are expressions."""
    parts = [Identifier(key) if key.isidentifier() else SQL("(" + key + ")") for key in keys]
    where = SQL(" WHERE " + predicate) if predicate else SQL("")
    text = SQL("INSERT INTO t (a) SELECT 1 ON CONFLICT ({}){} DO NOTHING")
    return text.format(SQL(", ").join(parts), where)


def accepts(db: Database, statement: Composed) -> bool:
    """Tell whether the server carries it out; what EXPLAIN lets pass can still fail (deferrable indexes)."""
    try:
        with db.conn.transaction(force_rollback=True):
            db.conn.execute(statement)
    except psycopg.Error:
        return False
    return True


CASES = [
    pytest.param(TABLE, [f"{UNIQUE} (a)"], ["a"], None, id="one-column"),
    pytest.param(TABLE, ["ALTER TABLE t ADD PRIMARY KEY (a)"], ["a"], None, id="primary-key"),
    pytest.param(TABLE, [f"{UNIQUE} (a, b)"], ["b", "a"], None, id="order"),
    pytest.param(TABLE, [f"{UNIQUE} (a, b)"], ["a", "b", "a"], None, id="repeated-key"),
    pytest.param(TABLE, [f"{UNIQUE} (a, a)"], ["a"], None, id="repeated-column"),
    pytest.param(TABLE, [f"{UNIQUE} (a, b)"], ["a"], None, id="wider"),
    pytest.param(TABLE, [f"{UNIQUE} (a)"], ["a", "b"], None, id="narrower"),
    pytest.param(TABLE, [], ["a"], None, id="none"),
    pytest.param(TABLE, ["CREATE INDEX ON t (a)"], ["a"], None, id="not-unique"),
    pytest.param(TABLE, [f"{UNIQUE} (a) INCLUDE (b)"], ["a"], None, id="include"),
    pytest.param(TABLE, [f"{UNIQUE} (a) INCLUDE (b)"], ["a", "b"], None, id="include-is-no-key"),
    pytest.param(TABLE, [f"{UNIQUE} (a DESC NULLS FIRST)"], ["a"], None, id="descending"),
    pytest.param(TABLE, [f"{UNIQUE} (c text_pattern_ops)"], ["c"], None, id="other-operator-class"),
    pytest.param(TABLE, [f'{UNIQUE} (c COLLATE "C")'], ["c"], None, id="other-collation"),
    pytest.param(
        TABLE,
        [f"{UNIQUE} (a) NULLS NOT DISTINCT"],
        ["a"],
        None,
        id="nulls-not-distinct",
        marks=needs("NULLS NOT DISTINCT"),
    ),
    pytest.param(TABLE, ["ALTER TABLE t ADD UNIQUE (a) DEFERRABLE"], ["a"], None, id="deferrable"),
    pytest.param(
        TABLE, ["ALTER TABLE t ADD UNIQUE (a) DEFERRABLE", f"{UNIQUE} (a)"], ["a"], None, id="deferrable-twin"
    ),
    pytest.param(TABLE, ["ALTER TABLE t ADD EXCLUDE (a WITH =)"], ["a"], None, id="exclusion"),
    pytest.param(
        TABLE, ["ALTER TABLE t ADD EXCLUDE (a WITH =)", f"{UNIQUE} (a)"], ["a"], None, id="exclusion-twin"
    ),
    pytest.param(TABLE, [f"{UNIQUE} (lower(c))"], ["lower(c)"], None, id="expression"),
    pytest.param(TABLE, [f"{UNIQUE} (lower(v))"], ["lower(v)"], None, id="expression-with-implied-cast"),
    pytest.param(TABLE, [f"{UNIQUE} (lower(c))"], ["LOWER( c )"], None, id="expression-otherwise-spelled"),
    pytest.param(TABLE, [f"{UNIQUE} (lower(c))"], ["c"], None, id="expression-is-not-its-column"),
    pytest.param(TABLE, [f"{UNIQUE} (c)"], ["lower(c)"], None, id="column-is-not-an-expression"),
    pytest.param(TABLE, [f"{UNIQUE} (lower(c))"], ["upper(c)"], None, id="other-expression"),
    pytest.param(TABLE, [f"{UNIQUE} ((a + b), c)"], ["c", "a + b"], None, id="expression-and-column"),
    pytest.param(TABLE, [f"{UNIQUE} ((a + b))"], ["a+b"], None, id="operator-without-spaces"),
    pytest.param(TABLE, [f"{UNIQUE} (coalesce(c, 'x'))"], ["coalesce(c, 'x')"], None, id="literal-with-cast"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE live"], ["a"], None, id="partial-without-predicate"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE live"], ["a"], "live", id="partial"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE live"], ["a"], "NOT live", id="partial-other-predicate"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE c IS NULL"], ["a"], "c is null", id="partial-spelling"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE v = 'x'"], ["a"], "v = 'x'", id="partial-literal"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE b > 5 AND live"], ["a"], "b > 5 AND live", id="partial-and"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE c <> 'x'"], ["a"], "c != 'x'", id="partial-not-equal"),
    pytest.param(TABLE, [f"{UNIQUE} (a)"], ["a"], "live", id="full-with-predicate"),
    pytest.param(TABLE, [f"{UNIQUE} (a) WHERE live", f"{UNIQUE} (a)"], ["a"], "live", id="full-and-partial"),
    pytest.param(
        TABLE, [f"{UNIQUE} (a)", "ALTER TABLE t ADD PRIMARY KEY (a)"], ["a"], None, id="index-and-primary-key"
    ),
    pytest.param(PARTS, [f"{UNIQUE} (a, b)"], ["a", "b"], None, id="partitioned"),
    pytest.param(PARTS, [f"{UNIQUE} (a, b)"], ["b"], None, id="partitioned-without-its-key"),
    pytest.param(PARTS, ["CREATE UNIQUE INDEX ON ONLY t (a)"], ["a"], None, id="partitioned-only"),
]


@pytest.mark.parametrize(("table", "indexes", "keys", "predicate"), CASES)
def test_find_arbiter_decides_as_the_server_does(
    db: Database, table: str, indexes: list[str], keys: list[str], predicate: str | None
) -> None:
    db.execute(table)
    if table == PARTS:
        db.execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)")
    for index in indexes:
        db.execute(index)
    statement = probe(keys, predicate)
    facts = table_facts(db.conn, None, "t")

    found = find_arbiter(keys, facts.indexes, predicate=predicate)

    inferred = server_arbiter(db.conn, statement)
    assert inferred is not None
    assert found == pick_inferred(inferred, facts.indexes)
    assert (found is not None) == accepts(db, statement)


def test_an_index_that_failed_to_build_does_not_arbitrate(db: Database) -> None:
    db.execute("CREATE TABLE t (a int)")
    db.execute("INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)")
    facts = table_facts(db.conn, None, "t")

    assert [str(index) for index in facts.indexes] == ["t_a (a) [invalid]"]
    assert find_arbiter(["a"], facts.indexes) is None
    assert server_arbiter(db.conn, probe(["a"], None)) == ()


@needs("WITHOUT OVERLAPS")
def test_a_temporal_key_does_not_arbitrate(newdb: Database) -> None:
    newdb.execute("CREATE EXTENSION btree_gist")
    newdb.execute("CREATE TABLE t (a int, r int4range, PRIMARY KEY (a, r WITHOUT OVERLAPS))")
    facts = table_facts(newdb.conn, None, "t")

    assert find_arbiter(["a", "r"], facts.indexes) is None
    assert server_arbiter(newdb.conn, probe(["a", "r"], None)) == ()


@pytest.mark.parametrize(
    ("index", "keys", "predicate"),
    [
        pytest.param("(a) WHERE b > 5", ["a"], "b > 6", id="implied-predicate"),
        pytest.param("(a) WHERE c IN ('x', 'y')", ["a"], "c IN ('x', 'y')", id="list"),
        pytest.param("((c || '-' || v))", ["c || '-' || v"], None, id="parentheses-of-its-own"),
    ],
)
def test_the_server_knows_more_than_the_text_shows(
    db: Database, index: str, keys: list[str], predicate: str | None
) -> None:
    db.execute(TABLE)
    db.execute(f"CREATE UNIQUE INDEX t_x ON t {index}")
    facts = table_facts(db.conn, None, "t")

    assert find_arbiter(keys, facts.indexes, predicate=predicate) is None
    assert server_arbiter(db.conn, probe(keys, predicate)) == ("t_x",)
    assert pick_inferred(("t_x",), facts.indexes) == facts.indexes[0]


def test_the_server_cannot_be_asked_without_the_right_to_insert(db: Database) -> None:
    db.execute("CREATE TABLE t (a int PRIMARY KEY)")
    db.execute("CREATE ROLE nobody_here")
    try:
        db.execute("SET ROLE nobody_here")
        assert server_arbiter(db.conn, probe(["a"], None)) is None
    finally:
        db.execute("RESET ROLE")
        db.execute("DROP ROLE nobody_here")


def test_asking_for_the_arbiter_leaves_the_connection_as_it_was(db: Database) -> None:
    db.execute("CREATE TABLE t (a int PRIMARY KEY)")

    server_arbiter(db.conn, probe(["a"], None))

    assert db.conn.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    assert db.one("SHOW transaction_read_only") == "off"


@pytest.mark.parametrize(
    ("keys", "predicate"),
    [(["a"], None), (["lower(c)"], None), (["a + b"], "live"), (["c || v", "a"], None)],
)
def test_the_hinted_index_makes_the_keys_arbitrable(
    db: Database, keys: list[str], predicate: str | None
) -> None:
    db.execute(TABLE)

    db.execute(create_index_hint("public", "t", keys, predicate))

    facts = table_facts(db.conn, None, "t")
    assert find_arbiter(keys, facts.indexes, predicate=predicate) == facts.indexes[0]


def test_names_are_quoted_where_the_server_quotes_them(db: Database) -> None:
    words = [str(word) for (word,) in db.execute("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")]
    names = [*words, "a", "_a1", "A", "a b", 'a"b', "größe", "1a", "a-b", "%"]

    unlike = [name for name in names if db.one("SELECT quote_ident(%s)", (name,)) != quote_if_needed(name)]

    assert unlike == []
