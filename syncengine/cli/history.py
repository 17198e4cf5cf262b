"""syncengine history"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("history")
@click.argument("name", required=False)
@options.environment
@options.connection
@options.view
@options.logs
def command(
    name: str | None,
    env: str | None,
    connection: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """List what ran, from the ledger, newest first; only the runs of the spec NAME if one is given.

    Looks into the database of --connection, else the one of the project's specs.  Exit codes: 0 listed, 1 no server,
    3 an option is wrong.
    """
    from syncengine.cli.looking import look

    return look(
        "history",
        view,
        logging,
        lambda view, ledger: view.history(ledger.runs(name)),
        connection=connection,
        env=env,
    )
