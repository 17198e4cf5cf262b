"""syncengine plan"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("plan")
@options.paths
@options.connection
@options.view
@options.logs
@click.option("--sql", is_flag=True, help="Show every statement.")
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    view: str,
    log_format: str,
    log_level: str,
    quiet: bool,
    sql: bool,
) -> int:
    """Show what a run would do and why; writes nothing.

    Connects to the target and looks at the source.  Exit codes: 0 it can run, 1 no source or no server, 3 a spec is
    not valid or its table can't take it.
    """
    from syncengine import api, registry
    from syncengine.cli.output import exit_code, listening, refuse, say
    from syncengine.errors import SyncError
    from syncengine.job import Failed

    shown = registry.view(view)
    try:
        with listening("plan", log_format, log_level, quiet) as (_, announce):
            loaded = api.load(paths, env=env)
            planned = api.plan_all(loaded, connection=connection, select=select, announce=announce)
    except SyncError as error:
        return refuse(shown, "", error, log_format)
    failed = [one for one in planned if isinstance(one, Failed)]
    plans = [one for one in planned if not isinstance(one, Failed)]
    say(shown.plans(plans, [(one.spec.name, one.error) for one in failed], sql=sql))
    return exit_code(one.error.exit_code for one in failed)
