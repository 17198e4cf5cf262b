"""Spec + facts -> explained plan, kept as text beside this file and reviewed as text.

`UPDATE_GOLDEN=1 pytest tests/golden` writes the texts anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncengine import planner, registry
from syncengine.errors import NoStrategyFits
from syncengine.model.facts import ServerFacts, SourceFacts, TableFacts, TriggerFacts
from syncengine.model.plan import Plan
from syncengine.values import replace
from tests.builders import a_column, a_server, a_source, a_table, a_task, an_index

FOLDER = Path(__file__).parent / "plans"
UPDATE = "UPDATE_GOLDEN"
BY_ID = an_index("id", name="orders_pkey", primary=True, constraint="orders_pkey")
KEY = a_column("id bigint", not_null=True)
ORDERS = a_table(
    KEY,
    "name text",
    "qty numeric(8,2)",
    "updated_at timestamp with time zone",
    indexes=(BY_ID,),
    rows=5_000_000,
)
MANY = a_source("id", "name", "qty", "updated_at", rows=1_200_000, exact=False)


@dataclass(frozen=True, kw_only=True)
class Case:
    """`method` is added to the spec, so that the plan is the one asked for."""

    spec: str
    method: str = "auto"
    table: TableFacts = ORDERS
    source: SourceFacts | None = MANY
    server: ServerFacts = field(default_factory=a_server)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.spec.strip()}\nexecution: {{method: {self.method}}}\n"

    def plan(self) -> Plan:
        task = a_task(self.text, self.table, self.source, self.server, **self.more)
        return planner.plan(
            task, registry.mode(task.spec.mode), registry.strategies(), connection="warehouse"
        )


KEYS = {
    "insert": "",
    "ignore": "conflict_keys: [id]",
    "upsert": "conflict_keys: [id]",
    "update": "conflict_keys: [id]",
    "mirror": "conflict_keys: [id]",
    "replace": "conflict_keys: [id]",
}
PAIRS = {
    f"{mode}-by-{method}": Case(
        spec=f"mode: {mode}\n{keys}",
        method=method,
        source=a_source("id", "name", "qty", "updated_at") if method == "rows" else MANY,
    )
    for mode, keys in KEYS.items()
    for method in registry.names("strategies")
}
SPECIAL = {
    "in-key-order": Case(
        spec="conflict_keys: [id]",
        method="staged",
        table=replace(ORDERS, indexes=(replace(BY_ID, correlation=-0.8),)),
    ),
    "replace-by-contents": Case(spec="mode: replace", method="staged"),
    "history": Case(
        spec="""
mode: history
conflict_keys: [id]
history: {valid_from: {since: excluded.updated_at}, valid_to: until, current: live, track: [qty]}
""",
        method="staged",
        table=a_table(
            KEY,
            "qty numeric(8,2)",
            "updated_at timestamp with time zone",
            "since timestamp with time zone",
            "until timestamp with time zone",
            "live boolean",
        ),
        source=a_source("id", "qty", "updated_at", rows=1_200_000, exact=False),
    ),
    "soft-delete": Case(
        spec="""
mode: mirror
conflict_keys: [id]
delete: {scope: "target.qty > 0", soft: {gone_at: now()}}
limits: {max_deletes: 5%, max_updates: 1000}
before: ["SET LOCAL work_mem = '1GB'"]
checks: [{name: some rows, sql: SELECT count(*) > 10 FROM shop.orders}]
""",
        method="staged",
        table=a_table(KEY, "qty numeric(8,2)", "gone_at timestamp with time zone", indexes=(BY_ID,)),
        source=a_source("id", "qty", rows=1_200_000, exact=False),
    ),
    "sums": Case(spec="conflict_keys: [id]\nupdate_columns: {qty: sum, name: coalesce}", method="staged"),
    "expressions": Case(
        spec="""
columns:
  name: {expression: "trim(source.first || ' ' || source.Last)"}
  qty: {field: amount, type: "numeric(8,2)"}
  updated_at: {expression: now()}
conflict_keys: [id]
update_columns: ["*", {qty: target.qty + excluded.qty}, {updated_at: keep}]
where: excluded.qty <> 0 AND target.name NOT LIKE '%{x}%'
""",
        source=a_source("id", "first", "LAST", "amount", rows=None, exact=False),
    ),
    "partial-index": Case(
        spec="conflict_keys: [lower(email), shop]\nconflict_where: deleted_at IS NULL",
        table=a_table(
            "email",
            "shop integer",
            "deleted_at timestamp with time zone",
            "note",
            indexes=(an_index("lower(email)", "shop", name="live_email", predicate="(deleted_at IS NULL)"),),
        ),
        source=a_source("email", "shop", "note"),
    ),
    "returning": Case(
        spec="conflict_keys: [id]\nreturning: {columns: [id, name], to: out/orders.csv, rows: all}",
        source=a_source("id", "name", "qty", "updated_at"),
    ),
    "null-match": Case(
        spec="conflict_keys: [shop, code]",
        table=a_table(
            a_column("shop integer", not_null=True),
            "code",
            "price numeric",
            indexes=(an_index("shop", "code", name="by_code", nulls_not_distinct=True),),
        ),
        source=None,
    ),
    "null-insert": Case(
        spec="conflict_keys: [code]\nnull_keys: insert\nmode: ignore",
        table=a_table("code", "price numeric", indexes=(an_index("code", name="by_code"),)),
        source=None,
    ),
    "duplicates-last": Case(spec="conflict_keys: [id]\nduplicates: last", method="staged"),
    "duplicates-max": Case(
        spec="conflict_keys: [id]\nduplicates: {keep: max, by: updated_at}", method="staged"
    ),
    "touch-unchanged": Case(
        spec="conflict_keys: [id]\ntouch_unchanged: true\nwhere: target.qty < excluded.qty"
    ),
    "no-update": Case(spec="conflict_keys: [id]\nupdate_columns: []"),
    "update-without-index": Case(
        spec="mode: update\nconflict_keys: [name]\nupdate_columns: [qty]",
        table=a_table("id integer", "name", "qty integer"),
        source=a_source("name", "qty"),
    ),
    "constraint": Case(spec="mode: upsert\nconflict_constraint: orders_pkey"),
    "triggers": Case(
        spec="conflict_keys: [id]",
        table=a_table(
            KEY,
            a_column("code", not_null=True),
            "name",
            indexes=(BY_ID, an_index("code", name="orders_code_key")),
            triggers=(
                TriggerFacts(name="stamp", timing="BEFORE", events=("INSERT", "UPDATE")),
                TriggerFacts(name="audit", timing="AFTER", events=("INSERT",)),
            ),
        ),
        source=a_source("id", "name"),
        server=a_server(engine_schema=False, engine_schema_exists=False),
    ),
    "create": Case(
        spec="""
target: {table: shop.orders, create: true}
columns: {qty: {field: qty, type: numeric}}
conflict_keys: [id]
""",
        table=a_table(exists=False, privileges=frozenset({"CREATE"})),
        source=a_source("id", "name", "qty"),
        server=a_server(engine_schema_exists=False),
    ),
    "odd-names": Case(
        spec="""
target: '"a ""b"" c".orders'
conflict_keys: ['"Order %s"']
update_columns: ["*", {'{0}': 'target."{0}" || excluded."{0}"'}]
where: target."O'Hara" < excluded."O'Hara"
""",
        table=a_table(
            a_column("", name="Order %s", type="integer", base_type="integer"),
            a_column("", name="{0}"),
            a_column("", name="O'Hara"),
            a_column("", name="_op"),
            a_column("", name='"; DROP TABLE x; --'),
            schema='a "b" c',
            indexes=(an_index("Order %s", name="odd", expressions=(False,)),),
        ),
        source=None,
    ),
}


def fits(name: str) -> bool:
    """Tell whether a strategy takes a mode at all."""
    return not name.endswith("-by-copy") or name == "insert-by-copy"


CASES = {name: case for name, case in (PAIRS | SPECIAL).items() if fits(name)}


def compare(file: Path, text: str) -> None:
    """Hold a text against the one that is kept, or keep it anew."""
    if os.environ.get(UPDATE):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_plan_explains_itself_as_it_is_kept_here(name: str):
    case = CASES[name]
    spec = "".join(f"# {line}\n" for line in case.text.splitlines())

    compare(FOLDER / f"{name}.txt", spec + case.plan().explain(sql=True))


def test_plan_as_json_is_kept_here():
    compare(FOLDER / "upsert-by-staged.json", CASES["upsert-by-staged"].plan().to_json() + "\n")


@pytest.mark.parametrize("name", [name for name in PAIRS if not fits(name)])
def test_pairs_without_a_text_are_refused(name: str):
    with pytest.raises(
        NoStrategyFits, match="strategy copy can't do it: straight COPY cannot resolve conflicts"
    ):
        PAIRS[name].plan()


def test_no_text_is_left_over():
    kept = {file.stem for file in FOLDER.iterdir()}

    assert kept == set(CASES)


def test_the_same_input_gives_the_same_bytes_in_another_process():
    program = (
        "from tests.golden.test_plans import CASES\n"
        "for name, case in CASES.items(): print(case.plan().explain(sql=True), case.plan().to_json())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1
