"""SQL expressions: what passes, what is refused and where, and that what is sent means what was written."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import Location, SpecError
from syncengine.model.spec import ColumnRef, Expression
from syncengine.spec.expressions import parse, parse_type

PLACE = Location("s.yaml", 5, 8)
CONFLICT = frozenset({"target", "excluded"})
SOURCE = frozenset({"source"})

GOOD = [
    ("target.updated_at < excluded.updated_at", "target.updated_at < excluded.updated_at"),
    ("EXCLUDED.Qty IS DISTINCT FROM Target.QTY", "excluded.qty IS DISTINCT FROM target.qty"),
    ('target."Odd Name" = 1', "target.Odd Name = 1"),
    ("not target.locked", "NOT target.locked"),
    (
        "target.a = 1 or target.b = 2 and target.c is null",
        "target.a = 1 OR (target.b = 2 AND target.c IS NULL)",
    ),
    ("(target.a + 1) * 2 > 3", "((target.a + 1) * 2) > 3"),
    ("target.a::numeric(12,2) > 1", "target.a::numeric(12, 2) > 1"),
    ("cast(target.a as text[]) is not null", "target.a::text[] IS NOT NULL"),
    ("target.a in (1, 2, 3)", "target.a IN (1, 2, 3)"),
    ("target.a between symmetric 1 and 2", "target.a BETWEEN SYMMETRIC 1 AND 2"),
    ("target.a like 'x%'", "target.a LIKE 'x%'"),
    ("target.a !~* 'x'", "target.a !~* 'x'"),
    ("target.a = any(array['x', 'y'])", "target.a = ANY(ARRAY['x', 'y'])"),
    ("target.tags[1] = 'x'", "target.tags[1] = 'x'"),
    ("target.a collate \"C\" < 'x'", "target.a COLLATE \"C\" < 'x'"),
    ("coalesce(target.a, '') = nullif(excluded.a, '')", "COALESCE(target.a, '') = (NULLIF(excluded.a, ''))"),
    ("case when target.a then 1 else 2 end = 1", "CASE WHEN target.a THEN 1 ELSE 2 END = 1"),
    ("greatest(target.a, excluded.a) > 1", "GREATEST(target.a, excluded.a) > 1"),
    ("lower(pg_catalog.btrim(target.a)) = 'x'", "lower(pg_catalog.btrim(target.a)) = 'x'"),
    ("extract(year from target.d) = 2020", "extract ('year' FROM target.d) = 2020"),
    ("substring(target.a from 1 for 2) = 'x'", "SUBSTRING(target.a FROM 1 FOR 2) = 'x'"),
    ("trim(both ' ' from target.a) = 'x'", "TRIM (BOTH ' ' FROM target.a) = 'x'"),
    ("target.d at time zone 'UTC' > '2020-01-01'", "target.d AT TIME ZONE 'UTC' > '2020-01-01'"),
    ("(target.a, target.b) < (excluded.a, 1)", "(target.a, target.b) < (excluded.a, 1)"),
    ("make_interval(days => 1) > target.i", "make_interval(days := 1) > target.i"),
    ("target.j ->> 'k' = 'v'", "(target.j ->> 'k') = 'v'"),
    ("target.a OPERATOR(pg_catalog.=) 1", "target.a OPERATOR(pg_catalog.=) 1"),
    ("E'it''s\\n' = target.a", "'it''s\n' = target.a"),
    ("U&'\\0041' = target.a", "'A' = target.a"),
    ("true -- the end", "true"),
    ("true /* ) or (1=1 */", "true"),
    ("'; drop table users; --' = target.a", "'; drop table users; --' = target.a"),
]

HOSTILE = [
    ("true) or (1=1", 4, 'syntax error at or near ")"'),
    ("1; drop table users", 0, "more than one expression"),
    ("true union select 1", 0, "more than one expression"),
    ("true group by 1", 0, "more than one expression"),
    ("true order by 1", 0, "more than one expression"),
    ("true limit 1", 0, "more than one expression"),
    ("true for update", 0, "more than one expression"),
    ("true window w as ()", 0, "more than one expression"),
    ("true into users", 5, 'syntax error at or near "into"'),
    ("exists (select 1 from pg_authid)", 0, "subqueries"),
    ("target.a = (select 1)", 11, "subqueries"),
    ("target.a in (select 1)", 9, "subqueries"),
    ("target.a = any (select 1)", 9, "subqueries"),
    ("array(select 1) is null", 0, "subqueries"),
    ("pg_sleep(1) is null", 0, "function pg_sleep"),
    ("set_config('a', 'b', true) = 'b'", 0, "function set_config"),
    ("current_setting('a') = 'b'", 0, "function current_setting"),
    ("nextval('s') > 1", 0, "function nextval"),
    ("random() > 0.5", 0, "function random"),
    ("gen_random_uuid() = target.a", 0, "function gen_random_uuid"),
    ("lo_import('/etc/passwd') > 0", 0, "function lo_import"),
    ("pg_read_file('/etc/passwd') = ''", 0, "function pg_read_file"),
    ("query_to_xml('select 1', true, true, '') is null", 0, "function query_to_xml"),
    ("evil.lower(target.a) = 'x'", 0, "function evil.lower"),
    ("target.a operator(evil.=) 1", 9, "operator evil.="),
    ("'users'::regclass is null", 9, "type regclass"),
    ("target.a::evil.thing is null", 10, "type evil.thing"),
    ('target.a collate evil."C" = 1', 9, "collation evil.C"),
    ("current_user = 'x'", 0, "current_user"),
    ("session_user = 'x'", 0, "session_user"),
    ("current_schema = 'x'", 0, "current_schema"),
    ("current_catalog = 'x'", 0, "current_catalog"),
    ("(target.r).f = 1", 1, "composite"),
    ("(target.r).* = 1", 1, "composite"),
    ("target.* is null", 0, "`*`"),
    ("$1", 0, "parameters"),
    ("count(*) > 1", 0, "aggregate"),
    ("lower(distinct target.a) = ''", 0, "aggregate"),
    ("lower(target.a order by 1) = ''", 0, "aggregate"),
    ("lower(target.a) filter (where true) = ''", 0, "window function"),
    ("rank() over () = 1", 0, "window function"),
    ("percentile_cont(0.5) within group (order by 1) > 1", 0, "aggregate"),
    ("grouping(target.a) = 1", 0, "GROUPING"),
    ("xmlelement(name a) is null", 0, "XML"),
    ("json_object('a': 1) is null", 0, "JsonObjectConstructor"),
    ("a.b.c = 1", 0, "too many parts"),
    ("generate_series(1, 2) = 1", 0, "function generate_series"),
    ("true /* open", 5, "unterminated"),
    ("'open", 0, "unterminated"),
    ("((target.a = 1)", 15, "at the end"),
    ("", 0, "empty"),
    ("  ", 0, "empty"),
    ("-- nothing", 10, "at the end"),
    ("true\x00", 0, "NUL"),
    ("not " * 60 + "true", 0, "nested too deep"),
    ("(" * 9_000 + "1" + ")" * 9_000, 0, "10,000 characters"),
    ("(" * 4_900 + "1" + ")" * 4_900, None, ""),
    ("+".join("1" * 4_000), 0, "nested too deep"),
    ("+".join("1" * 200_000), 0, "10,000 characters"),
]


def _parse(text: str, allowed: frozenset[str] = CONFLICT, **options: frozenset[str]) -> Expression:
    return parse(text, location=PLACE, allowed=allowed, **options)


def _error(text: str, allowed: frozenset[str] = CONFLICT) -> SpecError:
    with pytest.raises(SpecError) as raised:
        _parse(text, allowed)
    return raised.value


def _text(expression: Expression) -> str:
    shown = [
        part if isinstance(part, str) else ".".join(filter(None, (part.relation, part.name)))
        for part in expression.parts
    ]
    return "".join(shown)


@pytest.mark.parametrize(("text", "sent"), GOOD, ids=[text for text, _ in GOOD])
def test_a_good_expression_is_deparsed(text: str, sent: str) -> None:
    assert _text(_parse(text)) == sent


@pytest.mark.parametrize(("text", "sent"), GOOD, ids=[text for text, _ in GOOD])
def test_what_is_sent_reads_back_as_itself(text: str, sent: str) -> None:
    parts = _parse(text).parts
    rendered = "".join(
        part if isinstance(part, str) else f'"{part.relation}"."{part.name}"' for part in parts
    )

    assert _parse(rendered).parts == parts


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [case for case in HOSTILE if case[1] is not None],
    ids=[text[:40].replace("\x00", "NUL") for text, offset, _ in HOSTILE if offset is not None],
)
def test_a_hostile_expression_is_refused_at_its_place(text: str, offset: int, words: str) -> None:
    error = _error(text)

    assert words in error.message
    assert error.location == Location("s.yaml", 5, 8 + offset)


@pytest.mark.parametrize("text", [text for text, _, _ in HOSTILE], ids=range(len(HOSTILE)))
def test_refusing_takes_no_time(text: str) -> None:
    started = time.monotonic()
    with suppress(SpecError):
        _parse(text)

    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("text", "allowed", "hint"),
    [
        pytest.param("source.x > 1", CONFLICT, "write excluded.x", id="source-in-a-guard"),
        pytest.param("incoming.x > 1", CONFLICT, "write excluded.x", id="incoming"),
        pytest.param("new.x > 1", CONFLICT, "write excluded.x", id="new"),
        pytest.param("old.x > 1", CONFLICT, "write target.x", id="old"),
        pytest.param("users.x > 1", CONFLICT, "write target.x or excluded.x", id="a-table"),
        pytest.param("exluded.x > 1", CONFLICT, "write excluded.x", id="a-slip"),
        pytest.param("x > 1", CONFLICT, "write target.x or excluded.x", id="unqualified"),
        pytest.param("excluded.x", SOURCE, "write source.x", id="excluded-in-columns"),
        pytest.param("target.x", SOURCE, "write source.x", id="target-in-columns"),
        pytest.param("x", SOURCE, "write source.x", id="unqualified-in-columns"),
        pytest.param("target.x is null", frozenset(), "write the column alone: x", id="in-conflict-keys"),
        pytest.param("s.users.x > 1", CONFLICT, "write target.x or excluded.x", id="three-parts"),
    ],
)
def test_a_wrong_relation_names_the_right_word(text: str, allowed: frozenset[str], hint: str) -> None:
    assert _error(text, allowed).hint == hint


def test_without_relations_columns_stand_alone() -> None:
    parts = _parse("lower(Email)", frozenset()).parts

    assert parts == ("lower(", ColumnRef(relation=None, name="email"), ")")


@pytest.mark.parametrize(
    ("text", "volatility"),
    [
        pytest.param("lower('x')", "immutable", id="immutable"),
        pytest.param("to_char(target.d, 'YYYY')", "immutable", id="fixed-by-pinned-settings"),
        pytest.param("now()", "stable", id="now"),
        pytest.param("date_trunc('day', clock_timestamp())", "stable", id="nested"),
        pytest.param("current_date", "stable", id="keyword"),
        pytest.param("localtimestamp(3)", "stable", id="keyword-with-precision"),
        pytest.param("age(target.d)", "stable", id="age-of-today"),
        pytest.param("age(target.d, excluded.d)", "immutable", id="age-between"),
        pytest.param("'today'::date", "stable", id="literal-now"),
    ],
)
def test_volatility_is_stable_where_the_time_of_the_run_decides(text: str, volatility: str) -> None:
    assert _parse(text).volatility == volatility


def test_an_allowed_function_is_named_by_the_expression() -> None:
    allowed = frozenset({"shop.clean", "pg_catalog.gen_random_uuid"})

    found = _parse("shop.clean(target.a) = gen_random_uuid()::text", allow_functions=allowed)

    assert found.functions == ("pg_catalog.gen_random_uuid", "shop.clean")
    assert found.volatility == "stable"


def test_an_allowed_function_without_its_schema_is_refused_with_the_whole_name() -> None:
    with pytest.raises(SpecError) as raised:
        _parse("clean(target.a) = ''", allow_functions=frozenset({"shop.clean"}))

    assert raised.value.hint == "write shop.clean"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("lwoer(target.a) = ''", "did you mean lower? Otherwise put SCHEMA.lwoer", id="slip"),
        pytest.param("nwo() > target.a", "did you mean now? Otherwise put SCHEMA.nwo", id="short-slip"),
        pytest.param("shop.clean(target.a) = ''", "put shop.clean under `allow_functions:`", id="own"),
    ],
)
def test_an_unknown_function_gets_a_hint(text: str, hint: str) -> None:
    assert (_error(text).hint or "").startswith(hint)


def test_a_literal_that_looks_like_a_placeholder_stays_whole() -> None:
    assert _text(_parse("target.a = 'ref_0_' || target.b")) == "target.a = ('ref_0_' || target.b)"


def test_places_count_characters_not_bytes() -> None:
    assert _error("target.größe < incoming.x").location == Location("s.yaml", 5, 8 + 15)


def test_text_on_several_lines_has_the_place_of_its_start() -> None:
    assert _error("target.a <\nincoming.x").location == PLACE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("numeric(12,2)", "numeric(12, 2)", id="modifiers"),
        pytest.param("Timestamp With Time Zone", "timestamp with time zone", id="several-words"),
        pytest.param("int[]", "int[]", id="array"),
        pytest.param("shop.status", "shop.status", id="schema"),
        pytest.param('"Status"', '"Status"', id="quoted"),
    ],
)
def test_types_are_read_by_the_grammar(text: str, name: str) -> None:
    assert parse_type(text, location=PLACE) == name


@pytest.mark.parametrize(
    "text",
    [
        "text), 1",
        "text) , (1",
        "text), 1 as (x",
        "text default 1",
        "setof int",
        "x y",
        "",
        "int) FROM users --",
        "int)::text",
        "t.a%type",
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_type(text, location=PLACE)


@given(st.text(alphabet=st.sampled_from("abtargetx.()'\"$;:-+*/=<>[]{}1 ,\n\\%é\x00"), max_size=80))
def test_no_text_raises_anything_but_a_spec_error(text: str) -> None:
    for allowed in (CONFLICT, frozenset[str]()):
        with suppress(SpecError):
            assert _parse(text, allowed).parts
