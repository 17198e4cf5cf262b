"""What will be done: units of steps, as plain data that prints, compares and travels.

A plan names its connection and never holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from syncengine.model.steps import Probe, Record, RunSql, Sample, Step
from syncengine.redact import Redacted, redact

if TYPE_CHECKING:
    from syncengine.model.preview import Preview

# The unit that stages a source as text, to infer types from it.
READ = "read"
Isolation = Literal["read committed", "repeatable read"]


class Unit(Struct, frozen=True, kw_only=True):
    """Steps that commit together.

    A unit that met another transaction (40001, 40P01) is repeated; the final attempt is READ COMMITTED (docs/spec.md
    §11, rule 3).  `publishes`: the books must close before it commits.  `always`: it runs even when an earlier
    unit failed.  `repeatable` False: it reads a source that can be read only once.  `exact`:
    what is classified as a write must be written, for no trigger can drop it.  `opening` comes before the transaction's
    snapshot is taken: locks, so that nothing changes between the two; `closing` once the books are closed.
    `chunks`: the unit is carried out once for each chunk of the source, what comes before its CopyIn with the first and
    what comes after it with the last one; or once for each of the parts that staging was cut into.
    `workers` of them are carried out at the same time, None: as many as pay (execute/lanes.py); they commit in order.
    `tries`: what it counts is not done by it.  `probe` finds the rows that the target refuses,
    and in a unit of a part `sift` takes them out of it.
    """

    name: str
    steps: tuple[Step, ...]
    opening: tuple[RunSql, ...] = ()
    closing: tuple[Record, ...] = ()
    chunks: Literal["", "source", "parts"] = ""
    workers: int | None = 1
    tries: bool = False
    isolation: Isolation = "read committed"
    publishes: bool = False
    always: bool = False
    repeatable: bool = True
    exact: bool = False
    probe: Probe | None = None
    sift: tuple[Step, ...] = ()

    @property
    def of_run(self) -> tuple[Step, ...]:
        """Return what a run carries out, in order; samples are for previews."""
        steps = (*self.opening, *self.steps, *self.closing)
        return tuple(step for step in steps if not isinstance(step, Sample))


class Fit(Struct, frozen=True, kw_only=True):
    """A strategy can do it; `cost` counts rows moved plus row versions written."""

    strategy: str
    cost: int
    reasons: tuple[str, ...] = ()


class Misfit(Struct, frozen=True, kw_only=True):
    """A strategy cannot do it, and why."""

    strategy: str
    reason: str


Verdict = Fit | Misfit


class After(Struct, frozen=True, kw_only=True):
    """A spec of the same call that comes before, and why."""

    name: str
    reason: str


class Plan(Redacted, frozen=True, kw_only=True):
    """All that one spec will do, and why.  `checks` are what was verified at plan time, in words.

    `preview` holds exact numbers, where they were asked for.  `ledger` is the engine's schema, None where it can't be
    used.  `sensitive` are the names under which errors must show no
    value.
    """

    name: str
    mode: str
    strategy: str
    source: str
    target: str
    connection: str
    cost: int
    reasons: tuple[str, ...]
    refused: tuple[Misfit, ...]
    alternatives: tuple[Fit, ...]
    checks: tuple[str, ...]
    warnings: tuple[str, ...]
    units: tuple[Unit, ...]
    search_path: str
    settings: tuple[tuple[str, str], ...] = ()
    retries: int = 5
    rows: int | None = None
    bytes: int | None = None
    preview: Preview | None = None
    after: tuple[After, ...] = ()
    ledger: str | None = None
    sensitive: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for unit in self.units for step in unit.of_run)

    def explain(self, *, sql: bool = False) -> str:
        """Return what the plan does and why, for people."""
        from syncengine.model.explain import explain

        return redact(explain(self, sql=sql))

    def to_json(self) -> str:
        """Return the plan as a JSON document of docs/spec.md §6's shape, one spec long."""
        import json

        from syncengine.model.explain import FORMAT, document

        whole = {"format": FORMAT, "ok": True, "specs": [document(self)]}
        return redact(json.dumps(whole, indent=2, ensure_ascii=False))
