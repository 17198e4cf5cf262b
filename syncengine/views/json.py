"""json: one document for machines (docs/spec.md §6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from syncengine.errors import SyncError
from syncengine.model.explain import FORMAT, document
from syncengine.model.plan import Plan
from syncengine.model.record import RunRecord
from syncengine.model.report import COUNTERS, Report
from syncengine.model.rights import Grants
from syncengine.model.spec import Spec

# What a plan that could not be made has in the place of its parts; nothing was counted.
_NOT_PLANNED: dict[str, object] = {
    "reasons": [],
    "steps": [],
    "checks": [],
    **dict.fromkeys((*COUNTERS, "samples", "unchecked")),
}


class Json:
    name: ClassVar[str] = "json"

    def plans(self, plans: Iterable[Plan], failures: Iterable[tuple[str, SyncError]], *, sql: bool) -> str:
        specs = [document(plan) for plan in plans]
        failed = [{**_failed(name, error), **_NOT_PLANNED} for name, error in failures]
        ok = not failed and all(spec["error"] is None for spec in specs)
        return _dump({"format": FORMAT, "ok": ok, "specs": specs + failed})

    def reports(self, run_id: str, reports: Iterable[Report]) -> str:
        specs = [_report(report) for report in reports]
        ok = all(spec["error"] is None for spec in specs)
        return _dump({"format": FORMAT, "run_id": run_id, "ok": ok, "specs": specs})

    def problems(self, run_id: str, error: SyncError) -> str:
        """Return a document with one entry a problem; nothing was started."""
        specs = [_failed(single.location.file if single.location else "", single) for single in error.each()]
        return _dump({"format": FORMAT, "run_id": run_id, "ok": False, "specs": specs})

    def grants(self, found: Grants) -> str:
        return _dump(found.document())

    def history(self, records: Sequence[RunRecord]) -> str:
        return _dump({"format": FORMAT, "ok": True, "runs": [one.document() for one in records]})

    def record(self, record: RunRecord) -> str:
        chunks = [chunk.document() for chunk in record.chunks]
        return _dump({"format": FORMAT, "ok": True, **record.document(), "chunks": chunks})

    def collected(self, names: Sequence[str]) -> str:
        return _dump({"format": FORMAT, "ok": True, "dropped": list(names)})

    def valid(self, specs: Iterable[Spec]) -> str:
        shown = [
            {
                "name": spec.name,
                "file": spec.file,
                "mode": spec.mode,
                "target": str(spec.target),
                "error": None,
            }
            for spec in specs
        ]
        return _dump({"format": FORMAT, "ok": True, "specs": shown})


def _report(report: Report) -> dict[str, object]:
    return {
        "name": report.name,
        "mode": report.mode,
        "strategy": report.strategy,
        "target": report.target,
        "connection": report.connection,
        **{counter: getattr(report, counter) for counter in COUNTERS},
        "bytes_read": report.bytes_read,
        "seconds": round(report.seconds, 3),
        "resumed": report.resumed,
        "retries": report.retries,
        "published_before": report.published_before,
        "files": list(report.files),
        "bad_rows": [sample.document() for sample in report.bad_rows],
        "deletes_suppressed": report.suppressed,
        "error": report.error.document() if report.error is not None else None,
    }


def _failed(name: str, error: SyncError) -> dict[str, object]:
    nothing: dict[str, object] = dict.fromkeys(COUNTERS, 0)
    counters = {"mode": None, "strategy": None, **nothing, "bytes_read": 0, "seconds": 0.0, "resumed": False}
    return {"name": name, **counters, "error": error.document()}


def _dump(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


PLUGIN = Json()
