"""syncengine explain"""

from __future__ import annotations

import click


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> int:
    """Tell what an error code means, why it happens and how to mend it.

    The CODE stands in brackets behind an error's message.  Without one all codes are listed.
    """
    from syncengine.cli import pages

    if code is not None:
        click.echo(pages.plain(code), nl=False)
        return 0
    width = max(map(len, pages.sections()))
    for known in pages.sections():
        click.echo(f"{known:{width}}  {pages.meaning(known)}")
    return 0
