"""What a conflict is: keys, the index that arbitrates, and what NULL keys do."""

from __future__ import annotations

import pytest

from syncengine.errors import NoArbiterIndex
from syncengine.model.facts import IndexFacts, TableFacts
from tests.builders import a_column, a_source, a_table, a_task, an_index, complaints

COLUMNS = ("id integer", "Email text", "region text", "live boolean", "doc json")
BY_ID = an_index("id", primary=True)
BY_EMAIL = an_index('lower("Email")', name="by_email")
BY_REGION = an_index("region", name="by_region", predicate="live")
NULLS = an_index("region", name="nulls", nulls_not_distinct=True)
HEAD = "source: rows.csv\nname: orders\n"


def orders(*indexes: IndexFacts, **facts: object) -> TableFacts:
    return a_table(*COLUMNS, indexes=indexes, **facts)


@pytest.mark.parametrize(
    ("spec", "indexes", "keys", "arbiter"),
    [
        pytest.param("conflict_keys: [id]", [BY_ID], ["id"], BY_ID, id="column"),
        pytest.param("conflict_keys: [ID]", [BY_ID], ["id"], BY_ID, id="column-folds-as-in-sql"),
        pytest.param(
            "conflict_keys: [email]", [an_index("Email")], ["Email"], an_index("Email"), id="quoted-column"
        ),
        pytest.param(
            "conflict_keys: [region, id]",
            [an_index("id", "region")],
            ["region", "id"],
            an_index("id", "region"),
            id="columns-in-another-order",
        ),
        pytest.param(
            "conflict_keys: ['lower(\"Email\")']",
            [BY_ID, BY_EMAIL],
            ['lower("Email")'],
            BY_EMAIL,
            id="expression",
        ),
        pytest.param(
            "conflict_keys: [region]\nconflict_where: live",
            [BY_REGION],
            ["region"],
            BY_REGION,
            id="partial-index",
        ),
        pytest.param(
            "conflict_keys: [region]\nconflict_where: (LIVE)",
            [BY_REGION],
            ["region"],
            BY_REGION,
            id="partial-index-in-another-spelling",
        ),
        pytest.param(
            "conflict_constraint: orders_id_key\nmode: upsert", [BY_ID], ["id"], BY_ID, id="index-by-its-name"
        ),
        pytest.param(
            "conflict_constraint: one_id\nmode: upsert",
            [an_index("id", constraint="one_id")],
            ["id"],
            an_index("id", constraint="one_id"),
            id="constraint-by-its-name",
        ),
        pytest.param(
            "conflict_constraint: by_email\nmode: upsert",
            [BY_EMAIL],
            ['lower("Email")'],
            BY_EMAIL,
            id="index-on-expression",
        ),
        pytest.param(
            "conflict_keys: [region]\nmode: update", [], ["region"], None, id="update-needs-no-index"
        ),
    ],
)
def test_keys_and_their_arbiter_are_found(
    spec: str, indexes: list[IndexFacts], keys: list[str], arbiter: IndexFacts | None
):
    task = a_task(spec, orders(*indexes))

    assert ([key.text for key in task.keys], task.arbiter) == (keys, arbiter)


def test_keys_that_only_the_server_can_match_are_asked_of_it():
    asked: list[str] = []

    def infer(keys):
        asked.extend(key.text for key in keys)
        return BY_EMAIL

    task = a_task("conflict_keys: ['upper(\"Email\")']", orders(BY_EMAIL), infer_arbiter=infer)

    assert (task.arbiter, asked) == (BY_EMAIL, ['upper("Email")'])


def test_key_is_compared_by_the_operator_of_its_index():
    index = an_index("id", "region", equality=(("pg_catalog", "="), ("ext", "=")))

    task = a_task("conflict_keys: [region, id]", orders(index))

    assert [key.equality for key in task.keys] == [("ext", "="), ("pg_catalog", "=")]


def test_created_table_has_its_keys_as_primary_key():
    missing = a_table(exists=False, privileges=frozenset({"CREATE"}))

    task = a_task(
        "target: {table: shop.orders, create: true}\nconflict_keys: [id]", missing, a_source("id", "name")
    )

    assert str(task.arbiter) == "orders_pkey (id)"


@pytest.mark.parametrize(
    ("spec", "table", "message", "hint"),
    [
        pytest.param(
            "conflict_keys: [region]",
            orders(BY_ID),
            "3:16: no unique index on shop.orders covers conflict_keys (region)",
            "CREATE UNIQUE INDEX CONCURRENTLY ON shop.orders (region);",
            id="no-index",
        ),
        pytest.param(
            "conflict_keys: [email]",
            orders(BY_ID, relation="partitioned"),
            "3:16: no unique index on shop.orders covers conflict_keys (Email)",
            'CREATE UNIQUE INDEX ON shop.orders ("Email");',
            id="no-index-on-a-partitioned-table",
        ),
        pytest.param(
            "conflict_keys: ['lower(region)']\nconflict_where: live",
            orders(BY_ID),
            "3:16: no unique index on shop.orders covers conflict_keys (lower(region))",
            "CREATE UNIQUE INDEX CONCURRENTLY ON shop.orders (lower(region)) WHERE live;",
            id="no-index-on-an-expression",
        ),
        pytest.param(
            "conflict_keys: [idd]",
            orders(BY_ID),
            "3:17: shop.orders has no column 'idd'",
            "did you mean 'id'?",
            id="slip",
        ),
        pytest.param(
            "conflict_keys: [lower(emial)]",
            orders(BY_EMAIL),
            "3:17: shop.orders has no column 'emial'",
            "did you mean 'Email'?",
            id="slip-in-an-expression",
        ),
        pytest.param(
            "conflict_keys: [region]\nconflict_where: lives",
            orders(BY_REGION),
            "4:17: shop.orders has no column 'lives'",
            "did you mean 'live'?",
            id="slip-in-the-predicate",
        ),
        pytest.param(
            "conflict_keys: [doc]",
            orders(BY_ID),
            "3:17: column doc can't be a conflict key: its type has no usable equality",
            "",
            id="type-without-equality",
        ),
        pytest.param(
            "conflict_constraint: order_id_key\nmode: upsert",
            orders(BY_ID),
            "3:22: shop.orders has no unique constraint or index 'order_id_key'",
            "did you mean 'orders_id_key'?",
            id="slip-of-a-constraint",
        ),
        pytest.param(
            "conflict_constraint: by_region\nmode: upsert",
            orders(BY_REGION),
            "3:22: by_region (region) WHERE live is partial",
            "conflict_where",
            id="partial-index-by-its-name",
        ),
        pytest.param(
            "conflict_constraint: late\nmode: upsert",
            orders(an_index("id", name="late", immediate=False)),
            "3:22: late (id) [deferrable] can't arbitrate conflicts: it must be unique, valid and not deferrable",
            "",
            id="deferrable-constraint",
        ),
    ],
)
def test_a_conflict_target_that_can_not_be_is_refused(spec: str, table: TableFacts, message: str, hint: str):
    (error,) = complaints(f"{HEAD}{spec}", table)

    assert f"{error.location.line}:{error.location.column}: {error.message}" == message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("spec", "index", "message"),
    [
        pytest.param(
            "conflict_keys: [id]", BY_ID, "3:17: conflict key id is not loaded from the source", id="column"
        ),
        pytest.param(
            "conflict_keys: [abs(id)]",
            an_index("abs(id)"),
            "3:17: column id is part of the conflict target, but not loaded from the source",
            id="column-of-an-expression",
        ),
        pytest.param(
            "conflict_constraint: orders_id_key\nmode: upsert",
            BY_ID,
            "3:22: conflict key id is not loaded from the source",
            id="column-of-a-constraint",
        ),
    ],
)
def test_the_whole_conflict_target_must_be_loaded(spec: str, index: IndexFacts, message: str):
    (error,) = complaints(f"{HEAD}{spec}", orders(index), a_source("region"))

    assert f"{error.location.line}:{error.location.column}: {error.message}" == message


def test_the_predicate_may_speak_of_columns_that_are_null_as_they_are_not_loaded():
    task = a_task("conflict_keys: [region]\nconflict_where: live", orders(BY_REGION), a_source("region"))

    assert task.arbiter == BY_REGION


@pytest.mark.parametrize(
    "facts", [{"has_default": True}, {"generated": True}, {"identity": "always"}], ids=str
)
def test_the_predicate_can_not_speak_of_columns_that_the_server_fills(facts: dict[str, object]):
    live = a_column("live boolean", **facts)
    table = a_table("region", live, indexes=(BY_REGION,))

    (error,) = complaints(f"{HEAD}conflict_keys: [region]\nconflict_where: live", table, a_source("region"))

    assert error.location.line == 4
    assert error.message == "column live is part of the conflict target, but not loaded from the source"


def test_the_error_is_that_of_a_missing_arbiter_and_shows_what_there_is():
    (error,) = complaints("conflict_keys: [region]", orders(BY_ID, BY_REGION))

    assert isinstance(error, NoArbiterIndex)
    assert (
        error.detail == "by_region (region) is partial (WHERE live): add conflict_where with this predicate"
    )


@pytest.mark.parametrize(
    ("spec", "index", "expected"),
    [
        pytest.param("", an_index("region"), "error", id="default"),
        pytest.param("", NULLS, "match", id="default-where-nulls-are-not-distinct"),
        pytest.param("null_keys: error", NULLS, "error", id="error-everywhere"),
        pytest.param("null_keys: insert", an_index("region"), "insert", id="insert"),
        pytest.param("null_keys: match", NULLS, "match", id="match"),
    ],
)
def test_null_keys(spec: str, index: IndexFacts, expected: str):
    task = a_task(f"conflict_keys: [region]\n{spec}", orders(index))

    assert (task.null_keys, task.keys[0].match_nulls) == (expected, expected == "match")


@pytest.mark.parametrize(
    ("policy", "index", "message"),
    [
        ("match", an_index("region"), "4:12: `null_keys: match` needs an index with NULLS NOT DISTINCT"),
        ("insert", NULLS, "4:12: `null_keys: insert` can't be: NULLs conflict in nulls (region)"),
    ],
    ids=["match", "insert"],
)
def test_null_keys_against_the_index_are_refused(policy: str, index: IndexFacts, message: str):
    (error,) = complaints(f"{HEAD}conflict_keys: [region]\nnull_keys: {policy}", orders(index))

    assert f"{error.location.line}:{error.location.column}: {error.message}".startswith(message)


def test_nulls_are_not_looked_for_in_columns_that_hold_none():
    table = a_table(
        "region", a_column("id integer", not_null=True), indexes=(an_index("id", nulls_not_distinct=True),)
    )

    assert not a_task("conflict_keys: [id]", table).keys[0].match_nulls
