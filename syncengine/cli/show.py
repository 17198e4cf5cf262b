"""syncengine show"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("show")
@click.argument("run")
@options.environment
@options.connection
@options.view
@options.logs
def command(
    run: str,
    env: str | None,
    connection: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """Show one run in full, with its chunks and its error.

    RUN is the run's name in `syncengine history`, or the beginning of it.  Exit codes: 0 shown, 1 no server, 3 there is
    no such run.
    """
    from syncengine.cli.looking import look

    return look(
        "show",
        view,
        logging,
        lambda view, ledger: view.record(ledger.run(run)),
        connection=connection,
        env=env,
    )
