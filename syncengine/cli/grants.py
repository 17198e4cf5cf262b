"""syncengine grants"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("grants")
@options.paths
@options.connection
@click.option("--role", metavar="NAME", help="The role that the specs run as.  Default: the connected one.")
@options.view
@options.logs
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    role: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """Print the GRANT statements that the specs need, those first that the role lacks.

    The output is SQL that the owner of the tables can hand to psql.  Looks at sources and targets, changes nothing and
    needs no right itself.  Exit codes: 0 the statements could be made, whatever the role lacks; 1 no source or no
    server; 3 a spec is not valid or its table can't take it.
    """
    from syncengine import api, registry
    from syncengine.cli.output import listening, refuse, say
    from syncengine.errors import SyncError
    from syncengine.loading import load

    shown = registry.view(view)
    try:
        with listening("grants", logging) as (_, announce):
            found = api.grants_all(
                load(paths, env=env), role=role, connection=connection, select=select, announce=announce
            )
    except SyncError as error:
        return refuse(shown, "", error, logging.form)
    say(shown.grants(found))
    return 0
