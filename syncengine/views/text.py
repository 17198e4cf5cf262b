"""text: for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from syncengine.errors import DependencyFailed, SyncError
from syncengine.model.explain import visible
from syncengine.model.plan import Plan
from syncengine.model.record import RunRecord, in_full, table
from syncengine.model.report import Report
from syncengine.model.rights import Grants
from syncengine.model.spec import Spec


class Text:
    name: ClassVar[str] = "text"

    def plans(self, plans: Iterable[Plan], failures: Iterable[tuple[str, SyncError]], *, sql: bool) -> str:
        """Return the plans explained, and what could not be planned."""
        texts = [plan.explain(sql=sql) for plan in plans]
        texts += [f"{name}: {problem(error)}\n" for name, error in failures]
        return "\n".join(texts)

    def reports(self, run_id: str, reports: Iterable[Report]) -> str:
        """Return one paragraph a spec: the books, then files or the error."""
        return "".join(line + "\n" for report in reports for line in _lines(report))

    def problems(self, run_id: str, error: SyncError) -> str:
        """Return every problem, a blank line between those that have details."""
        return "".join(f"{problem(single)}\n" for single in error.each())

    def grants(self, found: Grants) -> str:
        """Return SQL that psql takes as it is."""
        return found.explain()

    def history(self, records: Sequence[RunRecord]) -> str:
        """Return a table, a line a run."""
        return visible(table(records)) if records else "no runs\n"

    def record(self, record: RunRecord) -> str:
        return visible(in_full(record))

    def collected(self, names: Sequence[str]) -> str:
        return "".join(f"dropped {name}\n" for name in names) or "nothing to drop\n"

    def valid(self, specs: Iterable[Spec]) -> str:
        return "".join(
            f"{spec.file}: {spec.name} is valid ({spec.mode} into {spec.target})\n" for spec in specs
        )


def problem(error: SyncError) -> str:
    """Return an error as `place: code: message`, with detail and hint below."""
    place = f"{error.location}: " if error.location else ""
    lines = [f"{place}{error.message} [{error.code}]"]
    lines += [f"  detail: {error.detail}"] if error.detail else []
    lines += [f"  hint:   {error.hint}"] if error.hint else []
    return visible("\n".join(lines))


def _state(report: Report) -> str:
    """Say what a failed run has left."""
    if report.chunks:
        count = "1 complete chunk" if report.chunks == 1 else f"{report.chunks:,} complete chunks"
        return f"{report.target} holds {count}, behind which the next run goes on"
    written = report.inserted + report.updated
    return f"{written:,} rows of {report.target} are written" if written else f"{report.target} is as it was"


def _lines(report: Report) -> Iterator[str]:
    if report.error is not None:
        state = _state(report)
        word = "not run" if isinstance(report.error, DependencyFailed) else "failed"
        yield f"{report.name}: {word}, {state}"
        yield from (f"  {line}" for line in problem(report.error).splitlines())
        return
    heading = f"{report.name}: {report.mode} into {report.target} ({report.connection}) by {report.strategy}"
    yield f"{heading} in {report.seconds:.2f} s"
    counts = report.counts
    classes = [
        (counts.inserted, "inserted"),
        (counts.updated, "updated"),
        (counts.unchanged, "unchanged"),
        (counts.skipped, "skipped"),
        (counts.duplicates, "duplicates"),
        *([(counts.quarantined, "quarantined")] if counts.quarantined else []),
    ]
    parts = ", ".join(f"{number:,} {name}" for number, name in classes)
    deleted = f"; {counts.deleted:,} deleted" if counts.deleted else ""
    yield f"  {counts.rows_read:,} rows read = {parts}{deleted}"
    if report.resumed:
        yield "  resumed: it went on where an earlier run had stopped"
    if report.suppressed:
        yield f"  nothing was deleted: the keys of {report.unreadable:,} bad rows can't be read"
    yield from (f"  bad row  {visible(str(sample))}" for sample in report.bad_rows)
    if report.quarantined > len(report.bad_rows):
        yield f"  and {report.quarantined - len(report.bad_rows):,} more: syncengine quarantine list"
    if report.published_before:
        yield "  nothing to do: the same contents were published before (--again does it all the same)"
    for path in report.files:
        yield f"  returned rows are in {path}"


PLUGIN = Text()
