"""syncengine gc"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("gc")
@options.environment
@options.connection
@options.view
@options.logs
def command(
    env: str | None,
    connection: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """Drop the staging tables that dead runs left, never those of a live one.

    What was committed in chunks and waits for its run to go on is kept.  Exit codes: 0 done, 1 no server, 3 a
    wrong option.
    """
    from syncengine.cli.looking import look

    return look(
        "gc",
        view,
        logging,
        lambda view, ledger: view.collected(ledger.collect()),
        connection=connection,
        env=env,
    )
