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
    log_format: str,
    log_level: str,
    quiet: bool,
) -> int:
    """Check specs without any server: YAML, keys, values, expressions, combinations.

    All problems of all files are shown at once.  Takes the options of `run`, but connects to nothing.  Exit codes:
    0 valid, 3 not.
    """
    from syncengine import api, registry
    from syncengine.cli.output import listening, refuse, say
    from syncengine.errors import SyncError

    shown = registry.view(view)
    logging = listening("validate", log_format, log_level, quiet) if log_format == "json" else nullcontext()
    try:
        with logging:
            jobs = api.load(paths, env=env, select=select)
    except SyncError as error:
        return refuse(shown, "", error, log_format)
    say(shown.valid([one.spec for one in jobs]))
    return 0
