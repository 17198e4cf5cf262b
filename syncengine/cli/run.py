"""syncengine run"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncengine.cli import options

if TYPE_CHECKING:
    from syncengine.model.spec import Limit


@click.command("run")
@options.paths
@options.connection
@options.jobs
@options.approve
@options.view
@options.logs
@click.option("--again", is_flag=True, help="Publish a source once more that was added up already.")
@click.option("--restart", is_flag=True, help="Start over, where an unfinished run would be gone on with.")
@click.option(
    "--wait", is_flag=True, help="Wait for another run of the same spec, instead of leaving with 5."
)
@click.option(
    "--dry-run", is_flag=True, help="Count exactly what would change, and write nothing: plan --diff."
)
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    jobs: int,
    approve: dict[str, Limit],
    view: str,
    logging: options.Logging,
    again: bool,
    restart: bool,
    wait: bool,
    dry_run: bool,
) -> int:
    """Make the targets of the specs hold what their sources say.

    PATH is a file, a folder (all *.yaml and *.yml below it) or - for standard input; without one, the `specs` of
    syncengine.yaml.  Specs run after those that they depend on.  Exit codes: 0 done, 1 failed and the target is as it
    was, 3 refused before the first row was read, 5 stopped before anything was published by a limit, a check or
    another run.
    """
    from syncengine import api, registry
    from syncengine.cli import INTERRUPTS
    from syncengine.cli.output import exit_code, listening, refuse, say
    from syncengine.cli.planning import show_plans
    from syncengine.cli.sofar import SoFar
    from syncengine.errors import SyncError
    from syncengine.job import Job, approved
    from syncengine.loading import load

    shown = registry.view(view)

    def jobs_of_call() -> tuple[Job, ...]:
        return approved(load(paths, env=env), approve, again=again, restart=restart, wait=wait)

    if dry_run:
        return show_plans(jobs_of_call, shown, logging, connection=connection, select=select, diff=True)
    run_id, so_far = api.new_run_id(), SoFar()

    def last_words(stop: KeyboardInterrupt) -> None:
        say(so_far.shown(shown, run_id, stop))

    try:
        with listening(run_id, logging) as (emit, announce), INTERRUPTS.last_words(last_words):
            loaded = jobs_of_call()
            so_far.expect(loaded, select)
            reports = api.run_all(
                loaded,
                connection=connection,
                select=select,
                jobs=jobs,
                run_id=run_id,
                emit=so_far.noting(emit),
                announce=announce,
            )
    except SyncError as error:
        return refuse(shown, run_id, error, logging.form)
    say(shown.reports(run_id, reports))
    return exit_code(report.exit_code for report in reports)
