"""syncengine validate"""

from __future__ import annotations

from contextlib import nullcontext

import click

from syncengine.cli import options


@click.command("validate")
@options.paths
@options.connection
@options.view
@options.logs
def command(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """Check specs without any server: YAML, keys, values, expressions, combinations.

    All problems of all files are shown at once.  Takes the options of `run`, but connects to nothing.  Exit codes:
    0 valid, 3 not.
    """
    from syncengine import registry
    from syncengine.cli.output import listening, refuse, say
    from syncengine.errors import SyncError
    from syncengine.loading import load

    shown = registry.view(view)
    try:
        with listening("validate", logging) if logging.form == "json" else nullcontext():
            jobs = load(paths, env=env, select=select)
    except SyncError as error:
        return refuse(shown, "", error, logging.form)
    say(shown.valid([one.spec for one in jobs]))
    return 0
