"""Write docs/benchmarks.md and README.md between their markers, and the charts beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import chart, contenders, tables
from benchmarks.cases import CASES, Case
from benchmarks.contenders import Kind
from benchmarks.figures import Figures, of_case
from benchmarks.results import Crossing, Entry, Result, Session, Skipped, latest

PAGE = Path("docs/benchmarks.md")
CHARTS = Path("docs/benchmarks")
README = Path("README.md")
BEGIN = "<!-- begin: written by `python -m benchmarks report` -->"
END = "<!-- end -->"


def line(entry: Result | Skipped | Crossing) -> str:
    """Return one result for the terminal."""
    if isinstance(entry, Crossing):
        ways = ", ".join(f"{way} {seconds * 1000:,.0f} ms" for way, seconds in entry.seconds.items())
        return f"{entry.question}, {entry.size:,} rows: {ways}"
    if isinstance(entry, Skipped):
        return f"  {entry.contender:22} left out: {entry.reason}"
    state = "ok" if entry.good else f"WRONG: {entry.wrong}" if entry.wrong else f"FAILED: {entry.error}"
    return (
        f"  {entry.contender:22} {entry.seconds:8.2f} s  cpu {entry.cpu:6.2f} s  {entry.memory / 1e6:5.0f} MB"
        f"  WAL {entry.wal / 1e6:6.0f} MB  dead {entry.dead:9,}  {state}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A case as it was measured last, and what came out."""

    case: Case
    figures: Sequence[Figures]
    session: Session | None


def measured(entries: Sequence[Entry]) -> list[Measured]:
    """Return the cases that were measured, in their order."""
    found = []
    sessions = {entry.session: entry for entry in entries if isinstance(entry, Session)}
    for case in CASES:
        results = latest(entries, case)
        if results:
            case = replace(case, rows=results[0].rows)
            figures = of_case(results, case.baseline)
            found.append(Measured(case=case, figures=figures, session=sessions.get(results[0].session)))
    return found


def write(entries: Sequence[Entry], root: Path, *, readme: bool) -> Iterator[Path]:
    """Write what can be said of the entries; yield the paths of what was written."""
    found = measured(entries)
    drawn = {name: picture for one in found for name, picture in _charts(one)}
    (root / CHARTS).mkdir(parents=True, exist_ok=True)
    for name, picture in drawn.items():
        path = root / CHARTS / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        yield path
    yield _replace(root / PAGE, page(entries, found))
    if readme:
        short = tables.in_short((one.case, one.figures) for one in found if one.case.quick)
        yield _replace(root / README, "\n".join(short))


def page(entries: Sequence[Entry], found: Sequence[Measured]) -> str:
    """Return the generated part of the page."""
    parts = [_machine(found), "## In short\n", *tables.in_short((one.case, one.figures) for one in found)]
    parts.append("\n## Case by case\n")
    for one in found:
        parts += _section(one)
    parts += _growth(found)
    parts += _crossings(entries)
    return "\n".join(parts).rstrip()


def _section(one: Measured) -> Iterator[str]:
    case = one.case
    yield f"### {case.title}\n"
    for name, _ in _charts(one):
        yield f"![{case.title}](benchmarks/{name}.svg)\n"
    yield from tables.of_case(case, one.figures)
    runs = max(figures.runs for figures in one.figures)
    commit = one.session.facts.get("syncengine", "") if one.session else ""
    yield f"Runs: {runs} each, {one.session.session if one.session else ''}, syncengine {commit}.\n"


def _charts(one: Measured) -> Iterator[tuple[str, str]]:
    """Yield names and pictures: seconds; memory and WAL too where there are other tools to compare with."""
    title, good = one.case.title, [figures for figures in one.figures if not figures.failure]
    rows = f"{one.case.rows:,} rows; " if one.case.mode else ""
    times = [_bar(f, f.seconds, f.fastest, f.slowest) for f in good]
    yield one.case.name, chart.bars(title, f"{rows}seconds, median and range", times, "s")
    if any(contenders.ALL[f.contender].kind is Kind.PEER for f in good):
        memory = [_bar(f, f.memory / tables.MEGA) for f in good]
        yield f"{one.case.name}-memory", chart.bars(title, f"{rows}peak memory of the client", memory, "MB")
        wal = [_bar(f, f.wal / tables.MEGA) for f in good]
        yield f"{one.case.name}-wal", chart.bars(title, f"{rows}WAL written", wal, "MB")


def _bar(one: Figures, value: float, low: float | None = None, high: float | None = None) -> chart.Bar:
    contender = contenders.ALL[one.contender]
    ours = contender.kind is Kind.OURS
    return chart.Bar(label=contender.title, value=value, low=low, high=high, ours=ours)


def _machine(found: Sequence[Measured]) -> str:
    facts = found[-1].session.facts if found and found[-1].session else {}
    head = ("## Machine and versions\n", "| | |", "| --- | --- |")
    return "\n".join((*head, *(f"| {name} | {value} |" for name, value in facts.items()), ""))


def _growth(found: Sequence[Measured]) -> Iterator[str]:
    sizes = [(one.case.rows, one.figures) for one in found if one.case.growth]
    sizes.sort(key=lambda size: size[0])
    if len(sizes) > 1:
        yield "### Growth and memory: upsert, 1 % changed\n"
        yield from tables.growth(sizes)
        yield ""


def _crossings(entries: Sequence[Entry]) -> Iterator[str]:
    every = [entry for entry in entries if isinstance(entry, Crossing)]
    if every:
        yield "## Where one way overtakes another\n"
        yield f"Measured {every[-1].session} by `python -m benchmarks crossover`.\n"
        yield from tables.crossings(one for one in every if one.session == every[-1].session)


def _replace(path: Path, text: str) -> Path:
    """Put the text between the markers of a file; what stands around them stays."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    return path
