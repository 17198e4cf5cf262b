"""How a plan is chosen and what it says beside its steps; its whole text is kept in tests/golden."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from syncengine import planner, registry
from syncengine.errors import NoStrategyFits
from syncengine.model.facts import Handover, TableFacts, TriggerFacts
from syncengine.model.plan import Fit, Misfit, Plan, Unit, Verdict
from syncengine.model.task import Task
from syncengine.protocols import Mode
from tests.builders import a_column, a_server, a_source, a_table, a_task, an_index

TABLE = a_table(a_column("id integer", not_null=True), "name", "qty integer", indexes=(an_index("id"),))
UPSERT = "conflict_keys: [id]\n"
INSERT = "mode: insert\n"
ROWS_ONLY = {"handovers": Handover.ROWS, "csv": None}


@dataclass
class Fixed:
    """A strategy that judges every task alike."""

    name: str
    verdict: Verdict

    def judge(self, task: Task) -> Verdict:
        return self.verdict

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        return (Unit(name=self.name, steps=()),)


def fit(name: str, cost: int) -> Fixed:
    return Fixed(name, Fit(strategy=name, cost=cost, reasons=(f"{name} can",)))


def misfit(name: str, reason: str) -> Fixed:
    return Fixed(name, Misfit(strategy=name, reason=reason))


def plan(spec: str, *facts: object, strategies: list[Fixed] | None = None) -> Plan:
    task = a_task(spec, *(facts or (TABLE,)))
    found = strategies if strategies is not None else registry.strategies()
    return planner.plan(task, registry.mode(task.spec.mode), found, connection="here")


@pytest.mark.parametrize(
    ("method", "chosen"),
    [
        pytest.param("auto", "rows", id="the-cheapest"),
        pytest.param("staged", "staged", id="the-one-asked-for"),
    ],
)
def test_a_strategy_is_chosen(method: str, chosen: str):
    strategies = [misfit("copy", "no"), fit("staged", 20), fit("rows", 10)]

    found = plan(f"{UPSERT}execution: {{method: {method}}}", strategies=strategies)

    assert (found.strategy, found.cost, [unit.name for unit in found.units]) == (chosen, found.cost, [chosen])
    assert {found.strategy, *(other.strategy for other in found.alternatives)} == {"staged", "rows"}
    assert found.refused == (Misfit(strategy="copy", reason="no"),)


def test_of_two_as_cheap_the_name_decides():
    assert plan(UPSERT, strategies=[fit("staged", 10), fit("rows", 10)]).strategy == "rows"


@pytest.mark.parametrize(
    ("method", "message", "detail", "line"),
    [
        ("auto", "no strategy can do it", "copy: not empty; rows: too many", 3),
        ("rows", "strategy rows can't do it: too many", None, 2),
    ],
    ids=["all-refuse", "the-one-asked-for-refuses"],
)
def test_refusals_are_named(method: str, message: str, detail: str | None, line: int):
    strategies = [misfit("copy", "not empty"), misfit("rows", "too many")]

    with pytest.raises(NoStrategyFits) as caught:
        plan(f"{UPSERT}execution: {{method: {method}}}\ntarget: shop.orders", strategies=strategies)

    assert (caught.value.message, caught.value.detail, caught.value.location.line) == (message, detail, line)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("spec", "source", "strategy"),
    [
        pytest.param(UPSERT, {"rows": 30}, "rows", id="few-rows"),
        pytest.param(UPSERT, {"rows": 50_000}, "staged", id="many-rows"),
        pytest.param(UPSERT, {"rows": 30, "exact": False}, "staged", id="a-few-rows-perhaps"),
        pytest.param(UPSERT, {"rows": None, "exact": False}, "staged", id="nobody-knows-how-many"),
        pytest.param(UPSERT, {"rows": 300, "reopenable": False}, "staged", id="source-that-is-read-once"),
        pytest.param(UPSERT, {"rows": 30, **ROWS_ONLY}, "rows", id="few-python-rows"),
        pytest.param(INSERT, {"rows": 300}, "copy", id="insert"),
        pytest.param(INSERT, {"rows": None, "exact": False, **ROWS_ONLY}, "copy", id="insert-of-python-rows"),
        pytest.param(
            f"{INSERT}{UPSERT}", {"rows": 50_000}, "staged", id="insert-with-keys-looks-for-duplicates"
        ),
        pytest.param(
            f"{INSERT}columns: {{name: {{expression: upper(source.name)}}}}",
            {"rows": 50_000},
            "staged",
            id="insert-of-computed-columns",
        ),
        pytest.param(
            f"{INSERT}columns: {{name: {{field: name, type: date}}}}",
            {"rows": 50_000},
            "staged",
            id="insert-of-text-read-as-another-type",
        ),
        pytest.param(
            f"{INSERT}ignore_fields: [qty]", {"rows": 50_000}, "staged", id="insert-without-some-csv-fields"
        ),
        pytest.param(
            f"{INSERT}ignore_fields: [qty]", ROWS_ONLY, "copy", id="insert-without-some-fields-of-rows"
        ),
        pytest.param(
            f"{INSERT}returning: {{columns: [id], to: out.csv}}",
            {"rows": 50_000},
            "staged",
            id="insert-that-returns",
        ),
    ],
)
def test_real_strategies_by_source_and_mode(spec: str, source: dict[str, object], strategy: str):
    assert plan(spec, TABLE, a_source("id", "name", "qty", **source)).strategy == strategy


@pytest.mark.parametrize(
    ("table", "found", "strategy"),
    [
        pytest.param(TABLE, a_server(engine_schema=False), "rows", id="no-room-for-a-staging-table"),
        pytest.param(a_table("id", relation="view", kind_text="view"), a_server(), "rows", id="view"),
        pytest.param(
            a_table("id", relation="foreign", kind_text="foreign table"), a_server(), "rows", id="foreign"
        ),
        pytest.param(a_table("id", relation="partitioned"), a_server(), "copy", id="partitioned"),
    ],
)
def test_real_strategies_by_table_and_server(table: TableFacts, found: object, strategy: str):
    spec = UPSERT if strategy == "rows" and table is TABLE else INSERT

    source = a_source(*(column.name for column in table.columns), rows=30)

    assert plan(spec, table, source, found).strategy == strategy


def test_a_role_that_may_make_no_table_is_told_both_ways_out():
    with pytest.raises(NoStrategyFits) as caught:
        plan(UPSERT, TABLE, None, a_server(engine_schema=False, temporary=False))

    assert "or GRANT TEMPORARY ON DATABASE" in caught.value.detail
    assert "GRANT TEMPORARY ON DATABASE" in caught.value.detail


@pytest.mark.parametrize(
    ("spec", "facts", "warning"),
    [
        pytest.param(
            UPSERT,
            {"triggers": (TriggerFacts(name="stamp", timing="BEFORE", events=("UPDATE",)),)},
            "trigger stamp runs before UPDATE",
            id="trigger-that-may-change-rows",
        ),
        pytest.param(
            f"{UPSERT}mode: ignore",
            {"columns": (*TABLE.columns, a_column("code", not_null=True))},
            "column code is NOT NULL without a default and not loaded: a new key will fail",
            id="new-rows-may-fail",
        ),
        pytest.param(
            f"{UPSERT}update_columns: {{qty: target.qty + excluded.qty}}",
            {},
            "qty accumulates: a source with the same contents is published once",
            id="accumulation",
        ),
    ],
)
def test_warnings(spec: str, facts: dict[str, object], warning: str):
    table = a_table(**{"columns": TABLE.columns, "indexes": TABLE.indexes, **facts})

    (found,) = plan(spec, table, a_source("id", "name", "qty")).warnings

    assert found.startswith(warning)


@pytest.mark.parametrize(
    "trigger",
    [
        TriggerFacts(name="audit", timing="AFTER", events=("INSERT", "UPDATE")),
        TriggerFacts(name="guard", timing="BEFORE", events=("DELETE",)),
        TriggerFacts(name="log", timing="BEFORE", events=("INSERT",), row=False),
    ],
    ids=lambda trigger: trigger.name,
)
def test_triggers_that_change_no_row_are_not_warned_of(trigger: TriggerFacts):
    table = a_table(columns=TABLE.columns, indexes=TABLE.indexes, triggers=(trigger,))

    assert plan(UPSERT, table).warnings == ()


def test_plan_holds_the_settings_of_its_transactions():
    found = plan(f"{UPSERT}execution: {{lock_timeout: 3s, statement_timeout: 1min, retries: 2}}")

    settings = dict(found.settings)
    assert (settings["lock_timeout"], settings["statement_timeout"], found.retries) == ("3s", "1min", 2)
    assert (settings["TimeZone"], settings["row_security"]) == ("UTC", "off")
