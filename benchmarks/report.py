"""Tables and charts of results: docs/benchmarks.md between its markers, docs/benchmarks/*.svg, a part of README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import chart, contenders
from benchmarks.cases import CASES, Case
from benchmarks.contenders import Kind
from benchmarks.figures import Figures, of_case
from benchmarks.results import Crossing, Entry, Result, Session, Skipped, latest

PAGE = Path("docs/benchmarks.md")
CHARTS = Path("docs/benchmarks")
README = Path("README.md")
BEGIN = "<!-- begin: written by `python -m benchmarks report` -->"
END = "<!-- end -->"
MEGA = 1_000_000


def line(entry: Result | Skipped | Crossing) -> str:
    """Return one result for the terminal."""
    if isinstance(entry, Crossing):
        ways = ", ".join(f"{way} {seconds:.3f} s" for way, seconds in entry.seconds.items())
        return f"{entry.question}, {entry.size:,}: {ways}"
    if isinstance(entry, Skipped):
        return f"  {entry.contender:22} left out: {entry.reason}"
    state = "ok" if entry.good else f"WRONG: {entry.wrong}" if entry.wrong else f"FAILED: {entry.error}"
    return (
        f"  {entry.contender:22} {entry.seconds:8.2f} s  cpu {entry.cpu:6.2f} s  {entry.memory / MEGA:5.0f} MB"
        f"  WAL {entry.wal / MEGA:6.0f} MB  dead {entry.dead:9,}  {state}"
    )


def write(entries: Sequence[Entry], root: Path, *, readme: bool) -> Iterator[Path]:
    """Write all that can be said of the entries; yield the paths."""
    results = latest(entries)
    measured = [case for case in CASES if any(result.case == case.name for result in results)]
    (root / CHARTS).mkdir(parents=True, exist_ok=True)
    parts = [_machine(entries, results)]
    for case in measured:
        figures = of_case([result for result in results if result.case == case.name], case.baseline)
        path = root / CHARTS / f"{case.name}.svg"
        path.write_text(
            chart.bars(case.title, [_bar(one) for one in figures if not one.failure]), encoding="utf-8"
        )
        yield path
        parts.append(_section(case, figures))
    yield _replace(root / PAGE, "\n\n".join(parts))


def _section(case: Case, figures: Sequence[Figures]) -> str:
    head = f"### {case.title}\n\n![{case.title}](benchmarks/{case.name}.svg)\n"
    return "\n".join((head, *_table(case, figures)))


def _table(case: Case, figures: Sequence[Figures]) -> Iterator[str]:
    baseline = contenders.ALL[case.baseline].title
    yield f"| {case.rows:,} rows | seconds | from – to | × {baseline} | CPU s | memory MB | WAL MB | dead rows |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --: |"
    for one in figures:
        contender = contenders.ALL[one.contender]
        name = f"**{contender.title}**" if contender.kind is Kind.OURS else contender.title
        if one.failure:
            yield f"| {name} | disqualified | | | | | | |"
            continue
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        yield (
            f"| {name} | {one.seconds:.2f} | {one.fastest:.2f} – {one.slowest:.2f} | {ratio} | {one.cpu:.1f}"
            f" | {one.memory / MEGA:.0f} | {one.wal / MEGA:.0f} | {one.dead:,} |"
        )


def _bar(one: Figures) -> chart.Bar:
    contender = contenders.ALL[one.contender]
    return chart.Bar(
        label=contender.title,
        value=one.seconds,
        low=one.fastest,
        high=one.slowest,
        ours=contender.kind is Kind.OURS,
    )


def _machine(entries: Sequence[Entry], results: Sequence[Result]) -> str:
    used = {result.session for result in results}
    sessions = [entry for entry in entries if isinstance(entry, Session) and entry.session in used]
    facts = sessions[-1].facts if sessions else {}
    return "\n".join(("| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts.items())))


def _replace(path: Path, text: str) -> Path:
    """Put the text between the markers of a file; what stands around them stays."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    return path
