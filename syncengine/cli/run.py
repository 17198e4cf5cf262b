"""syncengine run"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("run")
@options.paths
@options.connection
@options.jobs
@options.view
@options.logs
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    jobs: int,
    view: str,
    log_format: str,
    log_level: str,
    quiet: bool,
) -> int:
    """Make the targets of the specs hold what their sources say.

    PATH is a file, a folder (all *.yaml and *.yml below it) or - for standard input; without one, the `specs` of
    syncengine.yaml.  Specs run after those that they depend on.  Exit codes: 0 done, 1 failed and the target is as it
    was, 3 refused before the first row was read.
    """
    from syncengine import api, registry
    from syncengine.cli.output import exit_code, listening, refuse, say
    from syncengine.errors import SyncError

    shown, run_id = registry.view(view), api.new_run_id()
    try:
        with listening(run_id, log_format, log_level, quiet) as (emit, announce):
            reports = api.run_all(
                api.load(paths, env=env),
                connection=connection,
                select=select,
                jobs=jobs,
                run_id=run_id,
                emit=emit,
                announce=announce,
            )
    except SyncError as error:
        return refuse(shown, run_id, error, log_format)
    say(shown.reports(run_id, reports))
    return exit_code(report.exit_code for report in reports)
