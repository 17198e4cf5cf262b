"""SQL in every key that takes some: what must never get to a server is refused offline, with its place and a hint."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from syncengine.errors import SpecErrors, SyncError
from syncengine.model.spec import Expression
from syncengine.spec.expressions import in_full, parse
from tests.builders import parsed
from tests.conftest import RunCli

# A text, and words of what is said of it.
HOSTILE = {
    # Beyond the expression.
    "closed-parenthesis": ("true) OR (1=1", "syntax error"),
    "closed-parenthesis-and-comment": ("1=1) --", "syntax error"),
    "second-statement": ("true; DROP TABLE users", "more than one expression"),
    "statement-first": ("; true", "syntax error"),
    "union": ("true UNION ALL SELECT true", "more than one expression"),
    "group-by": ("true GROUP BY 1", "more than one expression"),
    "having": ("true HAVING true", "more than one expression"),
    "limit": ("true LIMIT 1", "more than one expression"),
    "for-update": ("true FOR UPDATE", "more than one expression"),
    "window-clause": ("true WINDOW w AS ()", "more than one expression"),
    "into": ("true INTO users", "syntax error"),
    "open-comment": ("true /* the rest", "unterminated"),
    "open-text": ("'the rest", "unterminated"),
    "open-dollar-quote": ("$x$ the rest", "unterminated"),
    "nul": ("true\0", "U+0000"),
    # Reading other tables.
    "exists": ("EXISTS (SELECT FROM pg_authid)", "subqueries"),
    "scalar-subquery": ("(SELECT rolpassword FROM pg_authid LIMIT 1) = 'x'", "subqueries"),
    "array-subquery": ("ARRAY(SELECT 1) = ARRAY[1]", "subqueries"),
    "in-subquery": ("1 IN (TABLE users)", "subqueries"),
    "any-subquery": ("1 = ANY (VALUES (1))", "subqueries"),
    "subquery-in-a-case": ("CASE WHEN true THEN (SELECT true) END", "subqueries"),
    "query-to-xml": ("query_to_xml('SELECT 1', true, true, '') IS NULL", "query_to_xml"),
    "table-to-xml": ("table_to_xml('users', true, true, '') IS NULL", "table_to_xml"),
    "database-to-xml": ("database_to_xml(true, true, '') IS NULL", "database_to_xml"),
    "ts-stat": ("ts_stat('SELECT 1') IS NULL", "ts_stat"),
    "ts-rewrite": ("ts_rewrite('a'::tsquery, 'SELECT 1') IS NULL", "ts_rewrite"),
    # Side effects.
    "sleep": ("pg_sleep(9) IS NULL", "pg_sleep"),
    "sleep-in-coalesce": ("coalesce(pg_sleep(9)::text, '') = ''", "pg_sleep"),
    "sleep-in-greatest": ("greatest(pg_sleep(9)::text, '') = ''", "pg_sleep"),
    "sleep-in-a-row": ("ROW(pg_sleep(9)) IS NULL", "pg_sleep"),
    "sleep-in-an-array": ("ARRAY[pg_sleep(9)] IS NULL", "pg_sleep"),
    "sleep-in-a-subscript": ("(ARRAY[1])[pg_sleep(9)::text::int] = 1", "pg_sleep"),
    "sleep-by-name": ("make_interval(days => pg_sleep(9)::text::int) IS NULL", "pg_sleep"),
    "sleep-in-catalog": ("pg_catalog.pg_sleep(9) IS NULL", "pg_sleep"),
    "set-config": ("set_config('role', 'postgres', false) = ''", "set_config"),
    "nextval": ("nextval('s') > 0", "nextval"),
    "setval": ("setval('s', 1) > 0", "setval"),
    "advisory-lock": ("pg_advisory_lock(1) IS NULL", "pg_advisory_lock"),
    "terminate": ("pg_terminate_backend(1)", "pg_terminate_backend"),
    "notify": ("pg_notify('a', 'b') IS NULL", "pg_notify"),
    "logical-message": ("pg_logical_emit_message(true, 'a', 'b') IS NULL", "pg_logical_emit_message"),
    "txid": ("txid_current() > 0", "txid_current"),
    "reload": ("pg_reload_conf()", "pg_reload_conf"),
    # Files and networks.
    "read-file": ("pg_read_file('/etc/passwd') = ''", "pg_read_file"),
    "list-folder": ("pg_ls_dir('/') IS NULL", "pg_ls_dir"),
    "lo-import": ("lo_import('/etc/passwd') > 0", "lo_import"),
    "lo-export": ("lo_export(1, '/tmp/x') > 0", "lo_export"),
    "dblink": ("dblink('host=evil', 'SELECT 1') IS NULL", "dblink"),
    "dblink-by-schema": ("public.dblink_connect('host=evil') = ''", "dblink_connect"),
    # Names by which something else comes in.
    "function-of-a-schema": ("evil.lower('x') = 'x'", "evil.lower"),
    "function-of-three-parts": ("pg_catalog.evil.lower('x') = 'x'", "pg_catalog.evil.lower"),
    "temporary-function": ("pg_temp.lower('x') = 'x'", "pg_temp.lower"),
    "operator-of-a-schema": ("1 OPERATOR(evil.=) 1", "evil.="),
    "operator-of-three-parts": ("1 OPERATOR(pg_catalog.evil.=) 1", "evil.="),
    "operator-with-any": ("1 OPERATOR(evil.=) ANY (ARRAY[1])", "evil.="),
    "type-of-a-schema": ("'x'::evil.thing IS NULL", "evil.thing"),
    "type-of-three-parts": ("'x'::pg_catalog.evil.thing IS NULL", "evil.thing"),
    "collation-of-a-schema": ("'x' COLLATE evil.\"C\" = 'x'", "evil.C"),
    "regclass": ("'pg_authid'::regclass IS NULL", "regclass"),
    "regclass-by-schema": ("'pg_authid'::pg_catalog.regclass IS NULL", "regclass"),
    "regclass-array": ("'{pg_authid}'::_regclass IS NULL", "_regclass"),
    "regproc": ("CAST('now' AS regproc) IS NULL", "regproc"),
    "regrole-literal": ("regrole 'postgres' IS NULL", "regrole"),
    "to-regclass": ("to_regclass('users') IS NULL", "to_regclass"),
    "aclitem": ("'postgres=r/postgres'::aclitem IS NULL", "aclitem"),
    "catalog-row": ("'(1)'::pg_type IS NULL", "pg_type"),
    "set-of": ("CAST(1 AS SETOF int) IS NULL", "not allowed"),
    # Who asks.
    "current-user": ("current_user = 'x'", "current_user"),
    "session-user": ("session_user = 'x'", "session_user"),
    "current-schema": ("current_schema = 'x'", "current_schema"),
    "current-setting": ("current_setting('is_superuser') = 'on'", "current_setting"),
    "client-address": ("inet_client_addr() IS NULL", "inet_client_addr"),
    "privilege-probe": ("has_table_privilege('users', 'select')", "has_table_privilege"),
    "random": ("random() > 0.5", "random"),
    # Other kinds of nodes.
    "aggregate": ("count(*) > 0", "aggregate"),
    "aggregate-by-name": ("max(1) = 1", "max"),
    "window": ("row_number() OVER () = 1", "window function"),
    "set-returning": ("generate_series(1, 9) = 1", "generate_series"),
    "unnest": ("unnest(ARRAY[1]) = 1", "unnest"),
    "parameter": ("$1", "parameters"),
    "default": ("1 = DEFAULT", "DEFAULT"),
    "field-of-a-row": ("(ROW(1)).f1 = 1", "composite"),
    "xml": ("xmlelement(name a) IS NULL", "XML"),
    "json-query": ("json_query('{}', '$') IS NULL", "JsonFuncExpr"),
    "merge-action": ("merge_action() = 'x'", "merge_action"),
}
BOMBS = {
    "parentheses": "(" * 20_000 + "1" + ")" * 20_000,
    "parentheses-below-the-length": "(" * 4_990 + "(SELECT 1)" + ")" * 4_990,
    "not": "NOT " * 2_000 + "true",
    "sum": "+".join("1" * 4_000),
    "case": "CASE WHEN true THEN " * 400 + "1" + " END" * 400,
    "arrays": "ARRAY[" * 1_000 + "1" + "]" * 1_000,
    "functions": "lower(" * 1_500 + "'x'" + ")" * 1_500,
    "a-megabyte": f"'{'x' * 990_000}' = 'x'",
    "a-megabyte-of-list": f"1 IN ({','.join('1' * 450_000)})",
    "a-megabyte-of-comment": f"true /*{'x' * 900_000}*/",
}


def keys(sql: str) -> dict[str, dict[str, Any]]:
    """Return specs that hold an expression at each of the places that take one."""
    mirror = {"mode": "mirror", "conflict_keys": ["id"]}
    return {
        "where": {"conflict_keys": ["id"], "where": sql},
        "update_columns": {"conflict_keys": ["id"], "update_columns": [{"a": sql}]},
        "update_columns-mapping": {"conflict_keys": ["id"], "update_columns": {"a": sql}},
        "columns": {"columns": {"a": {"expression": sql}}},
        "conflict_keys": {"conflict_keys": ["id", sql]},
        "conflict_where": {"conflict_keys": ["id"], "conflict_where": sql},
        "delete.scope": {**mirror, "delete": {"scope": sql}},
        "delete.soft": {**mirror, "delete": {"soft": {"gone": sql}}},
        "delete.live": {**mirror, "delete": {"soft": {"gone": "true"}, "live": sql}},
        "history.valid_from": {
            "mode": "history",
            "conflict_keys": ["id"],
            "history": {"valid_from": {"valid_from": sql}},
        },
        "lookups.match": {"lookups": {"a": {"table": "other", "match": {"b": sql}}}},
    }


def problems(spec: dict[str, Any]) -> tuple[SyncError, ...]:
    """Return what is wrong with a spec, which no server is asked about."""
    with pytest.raises(SpecErrors) as raised:
        parsed(as_yaml(spec))
    return raised.value.each()


def as_yaml(spec: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in spec.items())


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_expression_is_refused_in_every_key(text: str, words: str) -> None:
    for key, spec in keys(text).items():
        if key == "conflict_keys" and not re.search(r"[();']|::", text):
            continue  # that is the name of a column there, which the table does not have

        found = problems(spec)

        assert any(words in problem.message for problem in found), (key, found)
        assert all(problem.location and problem.location.line for problem in found), key


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_nesting_and_length_are_refused_at_once(text: str) -> None:
    for key, spec in keys(text).items():
        started = time.process_time()

        assert problems(spec), key

        assert time.process_time() - started < 1, key


GOOD = [
    "target.updated_at < excluded.updated_at",
    "target.a IS DISTINCT FROM excluded.a",
    "NOT target.locked AND (target.n IS NULL OR excluded.n > target.n)",
    "target.status = ANY (ARRAY['new', 'open'])",
    "target.status IN ('new', 'open')",
    "target.n BETWEEN 1 AND 10",
    "target.n NOT BETWEEN SYMMETRIC 10 AND 1",
    "target.name LIKE 'a!_%' ESCAPE '!'",
    "target.name NOT ILIKE 'a%'",
    "target.name SIMILAR TO '(a|b)%'",
    "target.name ~* '^x'",
    "coalesce(target.a, '') <> coalesce(excluded.a, '')",
    "nullif(target.n, 0) > 1",
    "greatest(target.n, excluded.n, 0) = excluded.n",
    "CASE target.k WHEN 1 THEN excluded.a ELSE 'x' END = 'x'",
    "lower(trim(both ' ' from target.name)) = lower(excluded.name)",
    "md5(target.name || '|' || target.a) = 'x'",
    "target.amount::numeric(12,2) = CAST(excluded.amount AS numeric(12,2))",
    "target.d > date '2026-01-31' - interval '1 day'",
    "target.d AT TIME ZONE 'Europe/Berlin' > '2026-01-31'",
    "extract(epoch from target.d) > 0",
    "date_trunc('month', target.d) = date_trunc('month', now())",
    "target.j ->> 'k' = 'v' AND target.j @> '{\"a\": 1}'",
    "jsonb_path_exists(target.j, '$.a')",
    "target.tags && ARRAY['x']::text[]",
    "target.tags[1:2] = '{a,b}'",
    "(target.a, target.b) < (excluded.a, excluded.b)",
    "(target.d1, target.d2) OVERLAPS (excluded.d1, excluded.d2)",
    "target.name COLLATE \"C\" < 'x'",
    'target."Odd ""Name""" = 1',
    "target.r @> 5 AND NOT isempty(target.r)",
    "target.ip << inet '10.0.0.0/8'",
    "target.t = E'a\\nb' OR target.t = $$a'b$$ OR target.t = U&'\\0041'",
    "target.b = B'101' OR target.h = '\\xdeadbeef'::bytea",
    "target.flag IS NOT TRUE",
    "target.name IS NFC NORMALIZED",
    "substring(target.name from 2 for 3) = 'abc' -- a remark",
    "num_nulls(target.a, target.b) = 0",
    "target.v OPERATOR(pg_catalog.=) 1",
    "target.größe > 1e3 AND target.n % 2 = 0",
]


def again(found: Expression) -> Expression:
    """Parse what would be sent."""
    sent = "".join(
        part if isinstance(part, str) else f'"{part.relation}"."{part.name.replace(chr(34), chr(34) * 2)}"'
        for part in found.parts
    )
    assert found.location is not None
    return parse(sent, location=found.location, allowed=frozenset({"target", "excluded"}))


@pytest.mark.parametrize("text", GOOD)
def test_good_guard_is_taken_and_reads_back_as_itself(text: str) -> None:
    guard = parsed(as_yaml({"conflict_keys": ["id"], "where": text})).where

    assert guard is not None
    assert again(guard).parts == guard.parts


@pytest.mark.parametrize("text", GOOD)
def test_name_in_full_stays_as_it_is_when_it_is_named_again(text: str) -> None:
    guard = parsed(as_yaml({"conflict_keys": ["id"], "where": text})).where
    assert guard is not None

    full = in_full(guard)

    assert in_full(full).parts == full.parts == again(full).parts


# Checks are queries; statements before and after are the user's own, but end no transaction and outlive none.
WRONG_CHECKS = {
    "delete": ("DELETE FROM t", "not one query"),
    "writing-in-with": ("WITH gone AS (DELETE FROM t RETURNING 1) SELECT true FROM gone", "data-modifying"),
    "into": ("SELECT true INTO t2", "not one query"),
    "locks": ("SELECT true FROM t FOR UPDATE", "locks rows"),
    "two": ("SELECT true; SELECT true", "not one query"),
    "second-writes": ("SELECT true; DROP TABLE t", "not one query"),
    "closed-parenthesis": ("SELECT true) OR (SELECT true", "syntax error"),
    "copy": ("COPY t TO PROGRAM 'id'", "not one query"),
    "do": ("DO $$BEGIN END$$", "not one query"),
    "explain": ("EXPLAIN ANALYZE DELETE FROM t", "not one query"),
    "execute": ("EXECUTE x", "not one query"),
    "nothing": ("-- nothing", "not one query"),
}
WRONG_HOOKS = {
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "savepoint": "SAVEPOINT a",
    "prepare-transaction": "PREPARE TRANSACTION 'a'",
    "set": "SET search_path = evil",
    "set-role": "SET ROLE postgres",
    "reset": "RESET ALL",
    "session-authorization": "SET SESSION AUTHORIZATION postgres",
    "discard": "DISCARD ALL",
    "listen": "LISTEN a",
    "prepare": "PREPARE a AS SELECT 1",
    "load": "LOAD 'evil'",
    "copy-from-the-client": "COPY t FROM STDIN",
    "two": "DELETE FROM t; COMMIT",
    "nothing": "-- nothing",
}


@pytest.mark.parametrize(("sql", "words"), WRONG_CHECKS.values(), ids=WRONG_CHECKS)
def test_check_must_be_a_query(sql: str, words: str) -> None:
    (problem,) = problems({"checks": [{"sql": sql}]})

    assert words in problem.message
    assert problem.location is not None
    assert problem.location.line == 1


@pytest.mark.parametrize("key", ["before", "after"])
@pytest.mark.parametrize("sql", WRONG_HOOKS.values(), ids=WRONG_HOOKS)
def test_statement_of_the_users_own_outlives_no_run(sql: str, key: str) -> None:
    (problem,) = problems({key: ["DELETE FROM log", sql]})

    assert problem.location is not None
    assert problem.location.line == 1


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_nesting_and_length_are_refused_in_statements_too(text: str) -> None:
    started = time.process_time()

    assert problems({"checks": [{"sql": f"SELECT {text}; x"}], "before": [f"SELECT {text}; x"]})

    assert time.process_time() - started < 1


def test_validate_refuses_all_of_them_at_once_without_a_server(cli: RunCli) -> None:
    texts = [text for text, _ in HOSTILE.values() if "\0" not in text]  # which spoils the whole file
    documents = [
        as_yaml(
            {"name": f"n{number}", "source": "a.csv", "target": "t", "conflict_keys": ["id"], "where": text}
        )
        for number, text in enumerate(texts)
    ]

    done = cli(
        "validate", "-", input="\n---\n".join(documents), env={"DATABASE_URL": "postgresql://nowhere.invalid"}
    )

    assert done.returncode == 3
    places = {
        line.split(": ")[0].split(":")[1] for line in done.stderr.splitlines() if line.startswith("<stdin>:")
    }
    assert places == {str(number * 6 + 5) for number in range(len(texts))}
