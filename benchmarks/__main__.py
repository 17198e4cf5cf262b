"""The benchmark's command line: `python -m benchmarks run | list | report`."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from benchmarks import contenders, environments, machine, report, results
from benchmarks.cache import opened
from benchmarks.cases import CASES, Case, find
from benchmarks.results import Result, Session, Skipped

FAILED = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
def cli() -> None:
    pass


@cli.command()
@click.argument("names", nargs=-1, metavar="[CASE]…")
@click.option("--rows", type=int, help="Another number of rows than the cases state.")
@click.option("--repeat", type=int, help="Another number of repetitions.")
@click.option("--quick", is_flag=True, help="The shorter choice of cases, without other tools.")
@click.option("--only", multiple=True, metavar="CONTENDER", help="Leave out the others; may be repeated.")
def run(
    names: tuple[str, ...], rows: int | None, repeat: int | None, quick: bool, only: tuple[str, ...]
) -> None:
    """Measure cases, all of them unless named; exit code 1 if a contender failed or left a wrong table."""
    cases = [_shaped(case, rows, repeat, quick=quick) for case in _chosen(names) if case.quick or not quick]
    for name in only:
        if name not in contenders.ALL:
            raise click.UsageError(f"no contender {name}; there are {', '.join(contenders.ALL)}")
    failures = _measure(cases, only)
    if failures:
        click.echo(f"{failures} runs failed or left a wrong table", err=True)
    sys.exit(FAILED if failures else 0)


def _chosen(names: tuple[str, ...]) -> list[Case]:
    unknown = [name for name in names if find(name) is None]
    if unknown:
        known = ", ".join(case.name for case in CASES)
        raise click.UsageError(f"no case {', '.join(unknown)}; there are {known}")
    return [case for case in CASES if not names or case.name in names]


def _shaped(case: Case, rows: int | None, repeat: int | None, *, quick: bool) -> Case:
    """Return the case as the options have it."""
    names = case.contenders
    if quick:
        names = tuple(name for name in names if contenders.ALL[name].kind is not contenders.Kind.PEER)
    return replace(case, rows=rows or case.rows, repeat=repeat or case.repeat, contenders=names)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _measure(cases: list[Case], only: tuple[str, ...]) -> int:
    """Return how many runs were no good."""
    from benchmarks.server import started
    from benchmarks.trial import Bench

    cache = opened()
    session = _now()
    failures = 0

    def tell(entry: Result | Skipped) -> None:
        nonlocal failures
        results.append(cache.results, entry)
        failures += isinstance(entry, Result) and not entry.good
        click.echo(report.line(entry))

    with started() as server, tempfile.TemporaryDirectory(prefix="states-", dir=cache.folder) as states:
        results.append(cache.results, Session(session=session, facts=machine.facts(server.version)))
        bench = Bench(server=server, cache=cache, states=Path(states), session=session, tell=tell)
        for case in cases:
            click.echo(f"\n{case.title}, {case.rows:,} rows ({case.name})")
            bench.carry_out(case, only)
    click.echo(
        f"\nresults are in {cache.results}; `python -m benchmarks report` makes tables and charts of them"
    )
    return failures


@cli.command()
def crossover() -> None:
    """Measure where one strategy, or one way to join, overtakes another."""
    from benchmarks.crossover import Crossovers
    from benchmarks.server import started

    cache = opened()
    with started() as server:
        for entry in Crossovers(server=server, cache=cache, session=_now()).all():
            results.append(cache.results, entry)
            click.echo(report.line(entry))


@cli.command("list")
def list_() -> None:
    """Show the cases and who competes in them."""
    for case in CASES:
        click.echo(f"{case.name:12} {case.title}, {case.rows:,} rows: {', '.join(case.contenders)}")


@cli.command()
@click.argument("names", nargs=-1, type=click.Choice([*environments.ALL]))
def install(names: tuple[str, ...]) -> None:
    """Install libraries and peers that are measured as well, all of them unless named, each by itself."""
    cache = opened()
    for environment in (environments.ALL[name] for name in names or environments.ALL):
        reason = environment.missing(cache)
        if reason and environment.packages:
            click.echo(f"{environment.name}: {', '.join(environment.packages)}")
            environment.install(cache)
        elif reason:
            click.echo(f"{environment.name}: {reason}", err=True)


@cli.command("report")
@click.option("--readme", is_flag=True, help="Write the short table into README.md as well.")
def report_(readme: bool) -> None:
    """Write docs/benchmarks.md and its charts from the latest results of each case."""
    cache = opened()
    for path in report.write(list(results.read(cache.results)), Path.cwd(), readme=readme):
        click.echo(path)


if __name__ == "__main__":
    # As Ctrl-C does: the server is stopped, and its folder removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli()
