"""syncengine plan"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncengine.cli import options

if TYPE_CHECKING:
    from syncengine.model.spec import Limit


@click.command("plan")
@options.paths
@options.connection
@options.approve
@options.view
@options.logs
@click.option("--sql", is_flag=True, help="Show every statement.")
@click.option(
    "--diff", is_flag=True, help="Count exactly what would change, and show samples; writes nothing."
)
@click.option(
    "--detailed-exitcode", "detailed", is_flag=True, help="Exit with 2 if there are changes; implies --diff."
)
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    approve: dict[str, Limit],
    view: str,
    logging: options.Logging,
    sql: bool,
    diff: bool,
    detailed: bool,
) -> int:
    """Show what a run would do and why; writes nothing.

    Connects to the target and looks at the source.  With --diff the source is read and classified in a transaction
    that is rolled back.  Exit codes: 0 it can run, 1 no source or no server or bad rows, 2 see --detailed-exitcode, 3 a
    spec is not valid or its table can't take it, 5 a limit or check would stop it.
    """
    from syncengine import registry
    from syncengine.cli.planning import show_plans
    from syncengine.job import approved
    from syncengine.loading import load

    return show_plans(
        lambda: approved(load(paths, env=env), approve),
        registry.view(view),
        logging,
        connection=connection,
        select=select,
        diff=diff or detailed,
        sql=sql,
        detailed=detailed,
    )
