"""syncengine, as its users call it: a spec and `syncengine run`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

import yaml

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Job, Kind
from benchmarks.measure import Command
from benchmarks.shapes import TARGET


def _command(**execution: object) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        spec: dict[str, object] = {
            "source": f"../{job.file.relative_to(job.cache.folder)}",
            "target": TARGET,
            "mode": job.case.mode,
        }
        if job.upserts:
            spec["conflict_keys"] = [job.case.shape.names[0]]
        if job.case.guard:
            spec["where"] = job.case.guard
        if execution:
            spec["execution"] = execution
        path = job.folder / "spec.yaml"
        path.write_text(yaml.safe_dump(spec))
        return Command(
            arguments=(sys.executable, "-m", "syncengine", "run", str(path), "--quiet"),
            environment={"DATABASE_URL": job.url, "SYNCENGINE_URL": job.url},
        )

    return command


def _reads(case: Case) -> str | None:
    """Refuse a format that has no source type."""
    if case.form == "parquet" and find_spec("syncengine.sources.parquet") is None:
        return "there is no source type parquet"
    return None


CONTENDERS = (
    Contender(name="syncengine", title="syncengine", kind=Kind.OURS, command=_command(), refuses=_reads),
    Contender(
        name="syncengine-csv",
        title="syncengine, the same as CSV",
        kind=Kind.OURS,
        command=_command(),
        form="csv",
    ),
    Contender(
        name="syncengine-chunks",
        title="syncengine, in chunks",
        kind=Kind.OURS,
        command=_command(transaction="chunk"),
    ),
    Contender(
        name="syncengine-help",
        title="syncengine --help",
        kind=Kind.OURS,
        command=lambda job: Command(arguments=(sys.executable, "-m", "syncengine", "--help")),
        loads=False,
    ),
)
