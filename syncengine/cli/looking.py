"""Look into a ledger and show what is there: what `history`, `show` and `gc` have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncengine.cli.options import Logging
from syncengine.cli.output import listening, refuse, say

if TYPE_CHECKING:
    from syncengine.memory import Ledger
    from syncengine.protocols import View


def look(
    command: str,
    view: str,
    logging: Logging,
    show: Callable[[View, Ledger], str],
    *,
    connection: str | None,
    env: str | None,
) -> int:
    """Show what `show` makes of the ledger, and return the exit code."""
    from syncengine import api, registry
    from syncengine.errors import SyncError

    shown = registry.view(view)
    try:
        with (
            listening(command, logging) as (_, announce),
            api.ledger_of(connection=connection, env=env, announce=announce) as ledger,
        ):
            text = show(shown, ledger)
    except SyncError as error:
        return refuse(shown, "", error, logging.form)
    say(text)
    return 0
