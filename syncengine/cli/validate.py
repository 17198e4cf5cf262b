"""syncengine validate"""

from __future__ import annotations

import click

from syncengine.cli import options


@click.command("validate")
@options.paths
@options.view
def command(paths: tuple[str, ...], view: str) -> int:
    """Check specs without any server: YAML, keys, values, expressions, combinations.

    All problems of all files are shown at once.  Exit codes: 0 valid, 3 not.
    """
    from syncengine import api, registry
    from syncengine.cli.output import refuse, say
    from syncengine.errors import SyncError

    shown = registry.view(view)
    try:
        jobs = api.load(paths)
    except SyncError as error:
        return refuse(shown, "", error)
    say(shown.valid([one.spec for one in jobs]))
    return 0
