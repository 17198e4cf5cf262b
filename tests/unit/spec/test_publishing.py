"""`limits`, `checks`, `before`, `after`, `session`, `sensitive`, `lookups`, `returning` as a spec says them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from syncengine.errors import SpecErrors
from syncengine.model.spec import Limit, Limits, Spec
from syncengine.spec.load import load_text
from syncengine.spec.project import Project

HERE = Path("/project")
UPSERT = "source: a.csv\ntarget: t\nconflict_keys: [id]\n"


def load(text: str) -> Spec:
    return load_text(UPSERT + text, file="s.yaml", folder=HERE, project=Project(folder=HERE), environ={})[0]


def told(text: str) -> list[str]:
    """Return the problems with their places; the text begins in line 4."""
    with pytest.raises(SpecErrors) as raised:
        load(text)
    return [f"{problem.location}: {problem.message}" for problem in raised.value.each()]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("0", Limit(count=0), id="none-at-all"),
        pytest.param("12", Limit(count=12), id="a-count"),
        pytest.param("'12'", Limit(count=12), id="a-count-in-quotes"),
        pytest.param(
            "99999999999999999999", Limit(count=99999999999999999999), id="more-than-any-table-holds"
        ),
        pytest.param("5%", Limit(share=Fraction(5, 100)), id="a-share"),
        pytest.param("0.1%", Limit(share=Fraction(1, 1000)), id="an-exact-share"),
        pytest.param("' 5 % '", Limit(share=Fraction(5, 100)), id="a-share-with-blanks"),
        pytest.param("200%", Limit(share=Fraction(2)), id="more-than-all"),
    ],
)
def test_a_limit_is_a_count_or_a_share(text: str, limit: Limit):
    assert load(f"limits: {{max_inserts: {text}}}").limits == Limits(max_inserts=limit)
    assert Limit.parse(text.strip("'")) == limit


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("-1", "`limits.max_deletes` cannot be -1", id="negative"),
        pytest.param("-5%", "`limits.max_deletes` cannot be `-5%`", id="a-negative-share"),
        pytest.param("1.5", "`limits.max_deletes` must be an integer or a text, not `1.5`", id="half-a-row"),
        pytest.param("'1.5'", "`limits.max_deletes` cannot be `1.5`", id="half-a-row-in-quotes"),
        pytest.param("x", "`limits.max_deletes` cannot be `x`", id="a-word"),
        pytest.param("'%'", "`limits.max_deletes` cannot be `%`", id="a-percent-sign-alone"),
        pytest.param("''", "`limits.max_deletes` cannot be ``", id="nothing"),
        pytest.param("", "`limits.max_deletes` has no value", id="no-value"),
        pytest.param("true", "`limits.max_deletes` must be an integer or a text, not `true`", id="a-boolean"),
        pytest.param("'1,000'", "`limits.max_deletes` cannot be `1,000`", id="with-a-comma"),
        pytest.param(".inf", "`limits.max_deletes` must be an integer or a text, not `inf`", id="no-end"),
    ],
)
def test_what_is_no_limit_is_refused_at_its_place(text: str, says: str):
    (problem,) = told(f"limits:\n  max_deletes: {text}")

    assert problem.startswith("s.yaml:5:")
    assert problem.endswith(f": {says}")


def test_unknown_limits_are_told_all_at_once_with_the_nearest_word():
    with pytest.raises(SpecErrors) as raised:
        load("limits: {max_delete: 5, min_row: 3, max_updates: x}")

    problems = raised.value.each()
    assert [(str(one.location), one.hint) for one in problems[:2]] == [
        ("s.yaml:4:10", "did you mean `max_deletes`?"),
        ("s.yaml:4:25", "did you mean `min_rows`?"),
    ]
    assert len(problems) == 3


@pytest.mark.parametrize(
    ("mode", "limits"),
    [
        ("upsert", Limits()),
        ("mirror", Limits(min_rows=Limit(count=1), max_deletes=Limit(share=Fraction(1, 2)))),
        ("replace", Limits(min_rows=Limit(count=1))),
    ],
)
def test_each_mode_has_its_limits_and_a_spec_changes_them_one_by_one(mode: str, limits: Limits):
    assert load(f"mode: {mode}").limits == limits
    changed = load(f"mode: {mode}\nlimits: {{min_rows: 0}}").limits
    assert (changed.min_rows, changed.max_deletes) == (Limit(count=0), limits.max_deletes)


CHECK = "the SQL is not one query"
MANY = "the SQL holds more than one statement"
NONE = "the SQL holds no statement"
ENDS = "the SQL would end the publishing transaction"
OUTLIVES = "the setting would outlive the run"
COPY = "there is nobody to COPY from or to within a run"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        pytest.param("SELECT true; SELECT false", CHECK, id="two-queries"),
        pytest.param("DELETE FROM t", CHECK, id="a-delete"),
        pytest.param("INSERT INTO t VALUES (1) RETURNING true", CHECK, id="an-insert"),
        pytest.param("SELECT true INTO x", CHECK, id="select-into"),
        pytest.param("CALL p()", CHECK, id="a-call"),
        pytest.param("COMMIT", CHECK, id="a-commit"),
        pytest.param("-- nothing", CHECK, id="a-comment-alone"),
        pytest.param("", "the SQL is empty", id="nothing"),
        pytest.param("SELCT true", 'SQL: syntax error at or near "SELCT"', id="a-typing-error"),
    ],
)
def test_a_check_is_one_query(sql: str, says: str):
    assert told(f'checks:\n- sql: "{sql}"') == [f"s.yaml:5:9: {says}"]


@pytest.mark.parametrize("key", ["before", "after"])
@pytest.mark.parametrize(
    ("sql", "says"),
    [
        pytest.param("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", MANY, id="two-statements"),
        pytest.param("SELECT 1; COMMIT", MANY, id="a-commit-behind-another"),
        pytest.param("-- nothing", NONE, id="a-comment-alone"),
        pytest.param("", "the SQL is empty", id="nothing"),
        pytest.param("BEGIN", ENDS, id="begin"),
        pytest.param("COMMIT", ENDS, id="commit"),
        pytest.param("commit and chain;", ENDS, id="commit-and-chain"),
        pytest.param("END", ENDS, id="end"),
        pytest.param("ROLLBACK", ENDS, id="rollback"),
        pytest.param("SAVEPOINT s", ENDS, id="savepoint"),
        pytest.param("PREPARE TRANSACTION 'x'", ENDS, id="prepare-transaction"),
        pytest.param("SET TimeZone = 'Asia/Tokyo'", OUTLIVES, id="set"),
        pytest.param("SET SESSION work_mem = '1MB'", OUTLIVES, id="set-session"),
        pytest.param("SET ROLE other", OUTLIVES, id="set-role"),
        pytest.param("RESET ALL", OUTLIVES, id="reset-all"),
        pytest.param("RESET role", OUTLIVES, id="reset-role"),
        pytest.param("COPY t FROM STDIN", COPY, id="copy-from-stdin"),
        pytest.param("COPY t TO STDOUT", COPY, id="copy-to-stdout"),
    ],
)
def test_a_statement_is_one_that_can_be_part_of_the_publishing_transaction(key: str, sql: str, says: str):
    assert told(f'{key}:\n- SELECT 1\n- "{sql}"') == [f"s.yaml:6:4: {says}"]


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL work_mem = '1MB'",
        "SET LOCAL ROLE other",
        "SET CONSTRAINTS ALL DEFERRED",
        "COPY t FROM '/srv/t.csv'",
        "DO $$BEGIN PERFORM 1; END$$",
        "CREATE TEMPORARY TABLE old AS SELECT 1",
    ],
)
def test_statements_of_other_kinds_are_taken(sql: str):
    assert load(f'before: ["{sql}"]').before == (sql,)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("SELECT true", "SELECT true"),
        ("SELECT true;", "SELECT true"),
        (" SELECT true ;; ", "SELECT true"),
        ("SELECT 'é;'; -- why", "SELECT 'é;'"),
        ("SELECT true /* a */; /* b */", "SELECT true /* a */"),
        ("SELECT true -- why", "SELECT true -- why"),
    ],
)
def test_a_semicolon_and_what_follows_it_are_left_out(written: str, kept: str):
    spec = load(f'checks: [{{sql: "{written}"}}]\nafter: ["{written}"]')

    assert (spec.checks[0].sql, spec.after) == (kept, (kept,))


def test_a_check_without_a_name_has_its_number():
    spec = load("checks:\n- sql: SELECT true\n- {name: few, sql: SELECT true}\n- sql: SELECT true")

    assert [check.name for check in spec.checks] == ["check 1", "few", "check 3"]


@pytest.mark.parametrize(
    "name",
    [
        "search_path",
        "SEARCH_PATH",
        "lock_timeout",
        "statement_timeout",
        "role",
        "row_security",
        "client_encoding",
    ],
)
def test_settings_that_the_engine_rests_on_are_refused(name: str):
    assert told(f"session:\n  {name}: x") == [f"s.yaml:5:3: `{name}` is set by the engine"]


def test_a_setting_written_in_two_ways_is_refused():
    assert told("session:\n  TimeZone: UTC\n  timezone: Asia/Tokyo") == [
        "s.yaml:6:3: the setting `timezone` is there twice"
    ]


def test_settings_are_texts_as_written():
    spec = load("session: {TimeZone: Europe/Berlin, DateStyle: 'ISO, DMY', jit: off, work_mem: 64}")

    assert spec.session == (
        ("TimeZone", "Europe/Berlin"),
        ("DateStyle", "ISO, DMY"),
        ("jit", "off"),
        ("work_mem", "64"),
    )


@pytest.mark.parametrize(
    ("lookup", "says"),
    [
        pytest.param("{table: b}", "5:6: lookups.a: the key `match` is missing", id="no-match"),
        pytest.param("{match: {c: source.d}}", "5:6: lookups.a: the key `table` is missing", id="no-table"),
        pytest.param("{table: b, match: {}}", "5:24: `lookups.a.match` is empty", id="an-empty-match"),
        pytest.param(
            "{table: b, match: {c: excluded.d}}",
            "5:28: SQL: there is no relation `excluded` here",
            id="excluded",
        ),
        pytest.param(
            "{table: b, match: {c: target.d}}", "5:28: SQL: there is no relation `target` here", id="target"
        ),
        pytest.param(
            "{table: b, match: {c: d}}", "5:28: SQL: the column `d` needs its relation", id="a-bare-column"
        ),
        pytest.param(
            "{table: b, match: {c: '(SELECT 1)'}}", "5:29: SQL: subqueries are not allowed", id="subquery"
        ),
        pytest.param(
            "{table: a.b.c.d, match: {c: source.d}}", "5:14: `a.b.c.d` has 4 parts", id="four-parts"
        ),
        pytest.param(
            "{table: b, match: {c: source.d}, missing: skip}",
            "5:48: `lookups.a.missing` cannot be `skip`",
            id="skip",
        ),
    ],
)
def test_a_lookup_is_told_what_is_wrong_with_it(lookup: str, says: str):
    assert told(f"lookups:\n  a: {lookup}") == [f"s.yaml:{says}"]


@pytest.mark.parametrize("text", ["missing: null", "missing: 'null'", "missing:"])
def test_yamls_null_is_the_word_null(text: str):
    (lookup,) = load(f"lookups:\n  a:\n    table: b\n    match: {{c: source.d}}\n    {text}").lookups

    assert lookup.missing == "null"


def test_a_column_is_mapped_or_looked_up():
    problems = told("columns: {a: x}\nlookups: {a: {table: b, match: {c: source.d}}}")

    assert problems == ["s.yaml:5:11: the column `a` is both mapped and looked up"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{columns: [id]}", "the key `to` is missing", id="nowhere"),
        pytest.param("{columns: [], to: x.csv}", "`returning.columns` is empty", id="no-column"),
        pytest.param("{columns: [id, id], to: x.csv}", "`id` is there twice", id="a-column-twice"),
        pytest.param("{columns: [id], to: x.txt}", "neither a .csv nor a .jsonl", id="another-format"),
        pytest.param("{columns: [id], to: ../../x.csv}", "leads out of the project", id="outside"),
        pytest.param(
            "{columns: [id], to: x.csv, rows: some}", "`returning.rows` cannot be `some`", id="some-rows"
        ),
    ],
)
def test_returning_is_told_what_is_wrong_with_it(text: str, says: str):
    (problem,) = told(f"returning: {text}")

    assert says in problem
