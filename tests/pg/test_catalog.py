"""What the catalog tells about the server, tables, indexes, triggers and rights."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL

from syncengine.catalog import check_expressions, function_volatility, server_facts, table_facts
from syncengine.errors import Location, MissingPrivilege, SpecError
from syncengine.model.facts import ColumnFacts, IndexFacts, TableFacts, TriggerFacts
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
    """Hand out the shared database with schema public as new."""
    shared.execute("DROP SCHEMA IF EXISTS public CASCADE")
    shared.execute("CREATE SCHEMA public")
    shared.execute("GRANT USAGE ON SCHEMA public TO public")
    yield shared
    shared.execute("RESET ROLE")
    shared.execute("RESET search_path")


@pytest.fixture
def role(db: Database) -> Iterator[str]:
    """A role without any rights of its own."""
    name = f"r_{secrets.token_hex(4)}"
    db.execute(f"CREATE ROLE {name}")
    yield name
    db.execute("RESET ROLE")
    db.execute(f"DROP OWNED BY {name}")
    db.execute(f"DROP ROLE {name}")


def facts(db: Database, *statements: str, table: str = "t", schema: str | None = None) -> TableFacts:
    for statement in statements:
        db.execute(statement)
    return table_facts(db.conn, schema, table)


def column(found: TableFacts, name: str) -> ColumnFacts:
    column = found.column(name)
    assert column is not None
    return column


# Names and search path


@pytest.mark.parametrize("name", ["Users", "user", "größe", "100%", "%s", 'say "hi"', "a.b", "x" * 63])
def test_tables_and_columns_are_found_by_their_exact_name(db: Database, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'

    found = facts(db, f"CREATE TABLE {quoted} ({quoted} int UNIQUE)", table=name)

    assert (found.exists, found.schema, found.name) == (True, "public", name)
    assert [column.name for column in found.columns] == [name]
    assert [index.keys for index in found.indexes] == [(name,)]


def test_names_are_not_folded(db: Database) -> None:
    assert facts(db, 'CREATE TABLE "Users" (a int)', table="users").exists is False


def test_an_unqualified_name_goes_by_the_roles_search_path(db: Database) -> None:
    db.execute("CREATE SCHEMA IF NOT EXISTS other")
    found = facts(
        db,
        "DROP TABLE IF EXISTS other.t",
        "CREATE TABLE t (a int)",
        "CREATE TABLE other.t (b int)",
        "SET search_path = nowhere, other, public",
    )

    assert found.schema == "other"
    assert [column.name for column in found.columns] == ["b"]


def test_looking_leaves_the_connection_as_it_was(db: Database) -> None:
    facts(db, "CREATE TABLE t (a int)", "SET search_path = public")

    assert db.conn.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    assert db.one("SHOW search_path") == "public"
    assert db.one("SHOW transaction_read_only") == "off"


def test_looking_inside_a_transaction_leaves_its_settings(db: Database) -> None:
    db.execute("CREATE TABLE t (a int)")
    with db.conn.transaction():
        table_facts(db.conn, None, "t")

        assert db.one("SHOW search_path") == '"$user", public'
        db.execute("INSERT INTO t VALUES (1)")


def test_a_function_of_the_role_cannot_stand_in_for_the_servers(db: Database) -> None:
    db.execute(
        "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$"
    )
    db.execute(
        "CREATE FUNCTION public.format_type(oid, int) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$"
    )

    found = facts(db, "CREATE TABLE t (a int)", "SET search_path = public, pg_catalog")

    assert found.columns[0].type == "integer"
    assert server_facts(db.conn, engine_schema="syncengine").version_text != "hijacked"


# What is not there


def test_a_missing_table_lies_where_create_table_would_put_it(db: Database) -> None:
    found = facts(db)

    assert found == TableFacts(schema="public", name="t", exists=False, privileges=frozenset({"CREATE"}))


def test_a_missing_table_in_a_named_schema(db: Database) -> None:
    found = facts(db, schema="public")

    assert (found.exists, found.schema, found.schema_exists) == (False, "public", True)


def test_a_missing_schema_is_told_from_a_missing_table(db: Database) -> None:
    found = facts(db, schema="nowhere")

    assert (found.exists, found.schema, found.schema_exists, found.schema_usage) == (
        False,
        "nowhere",
        False,
        True,
    )
    assert found.privileges == frozenset()


@pytest.mark.parametrize("schema", [None, "public"])
def test_a_closed_schema_is_told_from_a_missing_table(db: Database, role: str, schema: str | None) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int)",
        f"GRANT ALL ON t TO {role}",
        "REVOKE ALL ON SCHEMA public FROM public",
        f"SET ROLE {role}",
        schema=schema,
    )

    assert (found.exists, found.schema_exists, found.schema_usage) == (True, True, False)


def test_the_right_to_create_a_missing_table_is_shown(db: Database, role: str) -> None:
    assert facts(db, f"SET ROLE {role}").privileges == frozenset()

    db.execute("RESET ROLE")
    db.execute(f"GRANT CREATE ON SCHEMA public TO {role}")

    assert facts(db, f"SET ROLE {role}").privileges == frozenset({"CREATE"})


# Columns


def test_columns_keep_their_order_and_leave_out_dropped_ones(db: Database) -> None:
    found = facts(
        db, "CREATE TABLE t (b int, gone int, a int)", "ALTER TABLE t DROP gone", "ALTER TABLE t ADD c int"
    )

    assert [column.name for column in found.columns] == ["b", "a", "c"]


def test_a_table_without_columns_has_none(db: Database) -> None:
    assert facts(db, "CREATE TABLE t ()").columns == ()


@pytest.mark.parametrize(
    ("definition", "attributes"),
    [
        pytest.param("int", {}, id="plain"),
        pytest.param("int NOT NULL", {"not_null": True}, id="not-null"),
        pytest.param("int DEFAULT 1", {"has_default": True}, id="default"),
        pytest.param("serial", {"not_null": True, "has_default": True}, id="serial"),
        pytest.param("int GENERATED ALWAYS AS (1) STORED", {"generated": True}, id="generated"),
        pytest.param(
            "int GENERATED ALWAYS AS IDENTITY", {"not_null": True, "identity": "always"}, id="identity-always"
        ),
        pytest.param(
            "int GENERATED BY DEFAULT AS IDENTITY",
            {"not_null": True, "identity": "default"},
            id="identity-default",
        ),
    ],
)
def test_what_fills_a_column(db: Database, definition: str, attributes: dict[str, object]) -> None:
    found = column(facts(db, f"CREATE TABLE t (a {definition})"), "a")

    expected = {"not_null": False, "has_default": False, "generated": False, "identity": ""} | attributes
    assert {name: getattr(found, name) for name in expected} == expected


@needs("VIRTUAL")
def test_a_virtual_column_is_generated(newdb: Database) -> None:
    found = facts(newdb, "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)")

    assert [column.generated for column in found.columns] == [False, True]


def test_a_domains_default_fills_a_column(db: Database) -> None:
    found = facts(db, "CREATE DOMAIN state AS text DEFAULT 'new'", "CREATE TABLE t (a state)")

    assert column(found, "a").has_default


# Indexes


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        pytest.param(
            "ALTER TABLE t ADD CONSTRAINT x PRIMARY KEY (a, b)",
            IndexFacts(
                name="x",
                keys=("a", "b"),
                expressions=(False, False),
                equality=(("pg_catalog", "="), ("pg_catalog", "=")),
                primary=True,
                constraint="x",
            ),
            id="primary-key",
        ),
        pytest.param(
            "ALTER TABLE t ADD CONSTRAINT x UNIQUE (a) DEFERRABLE",
            IndexFacts(
                name="x",
                keys=("a",),
                expressions=(False,),
                equality=(("pg_catalog", "="),),
                immediate=False,
                constraint="x",
            ),
            id="deferrable",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX x ON t (a) NULLS NOT DISTINCT",
            IndexFacts(
                name="x",
                keys=("a",),
                expressions=(False,),
                equality=(("pg_catalog", "="),),
                nulls_not_distinct=True,
            ),
            id="nulls-not-distinct",
            marks=needs("NULLS NOT DISTINCT"),
        ),
        pytest.param(
            "CREATE UNIQUE INDEX x ON t (lower(c), a) INCLUDE (b) WHERE b > 5",
            IndexFacts(
                name="x",
                keys=("lower(c)", "a"),
                expressions=(True, False),
                equality=(("pg_catalog", "="), ("pg_catalog", "=")),
                predicate="b > 5",
            ),
            id="expression-include-partial",
        ),
        pytest.param(
            "ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING gist (r WITH &&)",
            IndexFacts(
                name="x",
                keys=("r",),
                expressions=(False,),
                equality=(("pg_catalog", "&&"),),
                unique=False,
                exclusion=True,
                constraint="x",
            ),
            id="exclusion",
        ),
    ],
)
def test_an_index_with_all_that_decides_on_its_use(db: Database, statement: str, index: IndexFacts) -> None:
    found = facts(db, "CREATE TABLE t (a int, b int, c text, r int4range)", statement)

    assert found.indexes == (index,)


@pytest.mark.parametrize(
    ("fill", "least", "most"),
    [
        pytest.param("SELECT n, n FROM generate_series(1, 1000) AS n", 1, 1, id="in-order"),
        pytest.param("SELECT -n, n FROM generate_series(1, 1000) AS n", -1, -1, id="backwards"),
        pytest.param("SELECT n / 5, n FROM generate_series(1, 1000) AS n", 1, 1, id="five-of-a-kind"),
        pytest.param(
            "SELECT n, n FROM generate_series(1, 1000) AS n ORDER BY md5(n::text)", -0.5, 0.5, id="mixed"
        ),
    ],
)
def test_how_far_rows_lie_in_the_order_of_the_first_key(
    db: Database, fill: str, least: float, most: float
) -> None:
    found = facts(
        db, "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))", f"INSERT INTO t {fill}", "ANALYZE t"
    )

    assert found.indexes[0].correlation is not None
    assert least <= found.indexes[0].correlation <= most


def test_nothing_tells_how_rows_lie_by_an_expression_a_key_of_few_values_before_analyze_or_without_the_right(
    db: Database, role: str
) -> None:
    fill = "INSERT INTO t SELECT n, n FROM generate_series(1, 1000) AS n"
    never = facts(db, "CREATE TABLE t (a int PRIMARY KEY, b int)", fill)
    by_expression = facts(db, "CREATE UNIQUE INDEX x ON t (abs(a))", "ANALYZE t")
    db.execute("CREATE TABLE few (a int, b int, PRIMARY KEY (a, b))")
    few = facts(
        db, "INSERT INTO few SELECT n / 50, n FROM generate_series(1, 1000) AS n", "ANALYZE few", table="few"
    )
    closed = facts(db, f"GRANT SELECT (b) ON t TO {role}", f"SET ROLE {role}")

    assert [index.correlation for index in (*never.indexes, *few.indexes)] == [None, None]
    assert {index.name: index.correlation for index in by_expression.indexes} == {"t_pkey": 1, "x": None}
    assert {index.name: index.correlation for index in closed.indexes} == {"t_pkey": None, "x": None}


def test_indexes_that_enforce_nothing_are_left_out(db: Database) -> None:
    found = facts(db, "CREATE TABLE t (a int)", "CREATE INDEX ON t (a)", "CREATE INDEX ON t USING hash (a)")

    assert found.indexes == ()


def test_a_foreign_key_to_the_table_is_not_taken_for_the_indexs_constraint(db: Database) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int)",
        "CREATE UNIQUE INDEX x ON t (a)",
        "CREATE TABLE u (a int REFERENCES t (a))",
    )

    assert [(index.name, index.constraint) for index in found.indexes] == [("x", None)]


def test_the_equality_of_an_extensions_type_is_qualified(db: Database) -> None:
    db.execute("DROP SCHEMA IF EXISTS ext CASCADE")
    found = facts(
        db,
        "CREATE SCHEMA ext",
        "CREATE EXTENSION citext SCHEMA ext",
        "CREATE TABLE t (a ext.citext PRIMARY KEY)",
    )

    assert found.indexes[0].equality == (("ext", "="),)
    assert column(found, "a").equality == ("ext", "=")


def test_a_function_in_an_index_is_qualified_unless_it_is_the_servers(db: Database) -> None:
    found = facts(
        db,
        "CREATE FUNCTION clean(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT trim($1) $$",
        "CREATE TABLE t (a text)",
        "CREATE UNIQUE INDEX x ON t (clean(a))",
    )

    assert found.indexes[0].keys == ("public.clean(a)",)


# Kinds of relations


@pytest.mark.parametrize(
    ("statement", "relation", "kind"),
    [
        ("CREATE TABLE t (a int)", "table", "table"),
        ("CREATE UNLOGGED TABLE t (a int)", "table", "table"),
        ("CREATE TABLE t (a int) PARTITION BY LIST (a)", "partitioned", "partitioned table"),
        ("CREATE VIEW t AS SELECT 1 AS a", "view", "view"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1 AS a", "other", "materialized view"),
        ("CREATE SEQUENCE t", "other", "sequence"),
        ("CREATE TYPE t AS (a int)", "other", "composite type"),
    ],
)
def test_the_kind_of_a_relation(db: Database, statement: str, relation: str, kind: str) -> None:
    found = facts(db, statement)

    assert (found.relation, found.kind_text) == (relation, kind)


@pytest.mark.parametrize(
    ("query", "insertable", "updatable"),
    [
        pytest.param("SELECT a, b FROM base", True, True, id="simple"),
        pytest.param("SELECT a, b FROM base WHERE a > 0", True, True, id="filtered"),
        pytest.param("SELECT DISTINCT a FROM base", False, False, id="distinct"),
        pytest.param("SELECT x.a FROM base AS x, base AS y", False, False, id="join"),
    ],
)
def test_whether_a_view_takes_rows(db: Database, query: str, insertable: bool, updatable: bool) -> None:
    found = facts(db, "CREATE TABLE base (a int, b int)", f"CREATE VIEW t AS {query}")

    assert (found.insertable, found.updatable) == (insertable, updatable)


def test_a_views_computed_columns_count_as_generated(db: Database) -> None:
    found = facts(db, "CREATE TABLE base (a int)", "CREATE VIEW t AS SELECT a, a + 1 AS b FROM base")

    assert [column.generated for column in found.columns] == [False, True]


def test_a_views_instead_of_trigger_is_a_trigger_and_no_property_of_the_view(db: Database) -> None:
    found = facts(
        db,
        "CREATE VIEW t AS SELECT DISTINCT 1 AS a",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER x INSTEAD OF INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )

    assert found.insertable is False
    assert found.triggers == (TriggerFacts(name="x", timing="INSTEAD OF", events=("INSERT", "UPDATE")),)


@pytest.mark.parametrize(("wrapper", "writable"), [("file_fdw", False), ("postgres_fdw", True)])
def test_whether_a_foreign_table_takes_rows(db: Database, wrapper: str, writable: bool) -> None:
    options = "OPTIONS (filename '/nowhere')" if wrapper == "file_fdw" else ""
    found = facts(
        db,
        f"CREATE EXTENSION {wrapper}",
        f"CREATE SERVER s FOREIGN DATA WRAPPER {wrapper}",
        f"CREATE FOREIGN TABLE t (a int) SERVER s {options}",
    )
    db.execute(f"DROP EXTENSION {wrapper} CASCADE")

    assert found.relation == "foreign"
    assert (found.insertable, found.updatable) == (writable, writable)


def test_a_partitioned_table_has_its_own_indexes_and_triggers(db: Database) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)",
        "CREATE UNIQUE INDEX only_here ON t_1 (b)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER y BEFORE INSERT ON t_1 FOR EACH ROW EXECUTE FUNCTION f()",
    )

    assert [index.name for index in found.indexes] == ["t_pkey"]
    assert [trigger.name for trigger in found.triggers] == ["x"]


# Rows


def test_the_number_of_rows_is_unknown_until_the_table_is_analysed(db: Database) -> None:
    assert facts(db, "CREATE TABLE t AS SELECT generate_series(1, 500) AS a").rows is None
    assert facts(db, "ANALYZE t").rows == 500


def test_the_rows_of_a_partitioned_table_are_those_of_its_partitions(db: Database) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (200)",
        "INSERT INTO t SELECT generate_series(0, 199)",
    )
    assert found.rows is None

    assert facts(db, "ANALYZE t_1, t_2").rows == 200


def test_a_view_has_no_number_of_rows(db: Database) -> None:
    assert facts(db, "CREATE VIEW t AS SELECT 1 AS a").rows is None


# Triggers and rules


@pytest.mark.parametrize(
    ("definition", "trigger"),
    [
        (
            "BEFORE INSERT OR UPDATE ON t FOR EACH ROW",
            TriggerFacts(name="x", timing="BEFORE", events=("INSERT", "UPDATE")),
        ),
        ("AFTER DELETE ON t FOR EACH ROW", TriggerFacts(name="x", timing="AFTER", events=("DELETE",))),
        (
            "AFTER TRUNCATE ON t FOR EACH STATEMENT",
            TriggerFacts(name="x", timing="AFTER", events=("TRUNCATE",), row=False),
        ),
    ],
)
def test_a_trigger_is_described(db: Database, definition: str, trigger: TriggerFacts) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        f"CREATE TRIGGER x {definition} EXECUTE FUNCTION f()",
    )

    assert found.triggers == (trigger,)


@pytest.mark.parametrize(
    ("state", "names"), [("DISABLE", []), ("ENABLE REPLICA", []), ("ENABLE", ["x"]), ("ENABLE ALWAYS", ["x"])]
)
def test_only_triggers_that_fire_are_listed(db: Database, state: str, names: list[str]) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        f"ALTER TABLE t {state} TRIGGER x",
    )

    assert [trigger.name for trigger in found.triggers] == names


def test_the_triggers_of_foreign_keys_are_left_out(db: Database) -> None:
    found = facts(db, "CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE u (a int REFERENCES t)")

    assert found.triggers == ()


def test_rules_are_listed_but_for_a_views_own(db: Database) -> None:
    rule = "CREATE RULE quiet AS ON INSERT TO {} DO ALSO NOTHING"

    assert facts(db, "CREATE TABLE t (a int)", rule.format("t")).rules == ("quiet",)
    assert facts(db, "CREATE VIEW v AS SELECT 1 AS a", table="v").rules == ()


# Rights


def test_the_owner_has_all_rights(db: Database) -> None:
    found = facts(db, "CREATE TABLE t (a int)")

    assert found.privileges == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert column(found, "a").privileges == {"SELECT", "INSERT", "UPDATE"}
    assert found.schema_usage


@pytest.mark.parametrize(
    ("grant", "on_table", "on_a", "on_b"),
    [
        pytest.param(None, set(), set(), set(), id="none"),
        pytest.param(
            "SELECT, INSERT", {"SELECT", "INSERT"}, {"SELECT", "INSERT"}, {"SELECT", "INSERT"}, id="table"
        ),
        pytest.param("SELECT (a, b), UPDATE (b)", set(), {"SELECT"}, {"SELECT", "UPDATE"}, id="columns"),
    ],
)
def test_rights_on_the_table_and_on_its_columns(
    db: Database, role: str, grant: str | None, on_table: set[str], on_a: set[str], on_b: set[str]
) -> None:
    db.execute("CREATE TABLE t (a int, b int)")
    if grant:
        db.execute(f"GRANT {grant} ON t TO {role}")

    found = facts(db, f"SET ROLE {role}")

    assert found.privileges == on_table
    assert (column(found, "a").privileges, column(found, "b").privileges) == (on_a, on_b)


def test_row_security_speaks_of_the_role_that_asks(db: Database, role: str) -> None:
    found = facts(
        db,
        "CREATE TABLE t (a int)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY p ON t TO {role} USING (a > 0)",
        f"GRANT SELECT ON t TO {role}",
    )
    assert found.row_security is False

    assert facts(db, f"SET ROLE {role}").row_security is True


# The server


def test_the_server_and_what_the_role_may_do(db: Database) -> None:
    found = server_facts(db.conn, engine_schema="syncengine")

    assert found.version == db.conn.info.server_version
    assert found.version_text.split(".")[0] == db.server.version
    assert (found.database, found.role) == (db.name, db.one("SELECT current_user"))
    assert found.search_path == '"$user", public'
    assert (found.read_only, found.in_recovery, found.temporary, found.encoding) == (
        False,
        False,
        True,
        "UTF8",
    )
    assert (found.engine_schema, found.engine_schema_exists) == (True, False)


def test_a_read_only_server_is_seen(db: Database) -> None:
    db.execute("SET default_transaction_read_only = on")
    try:
        assert server_facts(db.conn, engine_schema="syncengine").read_only
    finally:
        db.execute("SET default_transaction_read_only = off")


@pytest.mark.parametrize(
    ("grants", "usable", "exists"),
    [
        pytest.param([], False, False, id="no-schema-no-right"),
        pytest.param(["GRANT CREATE ON DATABASE {db} TO {role}"], True, False, id="may-make-it"),
        pytest.param(["CREATE SCHEMA {schema}"], False, True, id="of-somebody-else"),
        pytest.param(
            ["CREATE SCHEMA {schema}", "GRANT CREATE ON DATABASE {db} TO {role}"],
            False,
            True,
            id="of-somebody-else-although-it-could-make-one",
        ),
        pytest.param(
            ["CREATE SCHEMA {schema}", "GRANT USAGE ON SCHEMA {schema} TO {role}"],
            False,
            True,
            id="usage-only",
        ),
        pytest.param(
            ["CREATE SCHEMA {schema}", "GRANT ALL ON SCHEMA {schema} TO {role}"], True, True, id="granted"
        ),
    ],
)
def test_whether_staging_can_live_in_the_engines_schema(
    db: Database, role: str, grants: list[str], usable: bool, exists: bool
) -> None:
    schema = '"Engine %s"'
    db.execute(f"DROP SCHEMA IF EXISTS {schema}")
    for grant in grants:
        db.execute(grant.format(db=db.name, role=role, schema=schema))
    db.execute(f"SET ROLE {role}")

    found = server_facts(db.conn, engine_schema="Engine %s")

    assert (found.engine_schema, found.engine_schema_exists) == (usable, exists)


def test_temporary_tables_can_be_forbidden(db: Database, role: str) -> None:
    db.execute(f"REVOKE TEMP ON DATABASE {db.name} FROM public")
    db.execute(f"SET ROLE {role}")

    assert server_facts(db.conn, engine_schema="syncengine").temporary is False


# Functions and expressions


def test_a_function_is_as_volatile_as_the_worst_of_its_overloads(db: Database) -> None:
    body = "LANGUAGE sql AS $$ SELECT 1 $$"
    db.execute(f"CREATE FUNCTION f(int) RETURNS int IMMUTABLE {body}")
    db.execute(f"CREATE FUNCTION f(text) RETURNS int VOLATILE {body}")
    db.execute(f'CREATE FUNCTION "F.x"() RETURNS int STABLE {body}')

    found = function_volatility(db.conn, ["public.f", "public.F.x", "pg_catalog.lower", "public.none"])

    assert found == {"public.f": "volatile", "public.F.x": "stable", "pg_catalog.lower": "immutable"}


def test_no_functions_need_no_query(db: Database) -> None:
    assert function_volatility(db.conn, []) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a > 5", None, id="good"),
        pytest.param("a", "argument of WHERE must be type boolean, not type integer", id="not-boolean"),
        pytest.param("aa > 5", 'column "aa" does not exist', id="no-such-column"),
        pytest.param("nope(a)", "function nope(integer) does not exist", id="no-such-function"),
        pytest.param("c > 5", "operator does not exist: text > integer", id="no-such-operator"),
        pytest.param("c = '%s' AND a < 'x'", 'invalid input syntax for type integer: "x"', id="bad-literal"),
        pytest.param("public.f(a)", None, id="qualified-function"),
        pytest.param("f(a)", "function f(integer) does not exist", id="function-on-the-roles-path"),
    ],
)
def test_the_server_checks_an_expression(db: Database, text: str, message: str | None) -> None:
    db.execute("CREATE TABLE t (a int, c text)")
    db.execute("CREATE FUNCTION f(int) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$")
    where = SQL(text)  # type: ignore[arg-type] # a literal of this test

    found = check_expressions(
        db.conn, [(Location("s.yaml", 3), text, SQL("SELECT FROM public.t WHERE {}").format(where))]
    )

    assert [problem.message for problem in found] == ([message] if message else [])
    assert all(type(problem) is SpecError for problem in found)
    assert all(problem.location == Location("s.yaml", 3) for problem in found)


def test_all_bad_expressions_are_reported_in_order(db: Database) -> None:
    texts = ["1 + 'x'", "true", "nope"]
    probes = [(None, text, SQL("SELECT {}").format(SQL(text))) for text in texts]  # type: ignore[arg-type] # literals

    found = check_expressions(db.conn, probes)

    assert [problem.detail for problem in found] == ["in: 1 + 'x'", "in: nope"]
    assert found[1].hint is None


def test_a_hint_of_the_servers_is_passed_on(db: Database) -> None:
    found = check_expressions(db.conn, [(None, "x()", SQL("SELECT {}").format(SQL("x()")))])

    assert found[0].hint is not None


def test_an_expression_over_what_the_role_may_not_read_is_a_missing_right(db: Database, role: str) -> None:
    db.execute("CREATE TABLE t (a int)")
    db.execute(f"SET ROLE {role}")

    found = check_expressions(db.conn, [(None, "a > 5", SQL("SELECT FROM {}").format(SQL("public.t")))])

    assert [type(problem) for problem in found] == [MissingPrivilege]


def test_checking_writes_nothing(db: Database) -> None:
    db.execute("CREATE TABLE t (a int)")

    found = check_expressions(
        db.conn, [(None, "1", SQL("INSERT INTO public.t VALUES ({})").format(SQL("1")))]
    )

    assert found == []
    assert db.one("SELECT count(*) FROM t") == 0
