"""Plan specs and show the plans: what `plan` and `run --dry-run` have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncengine.cli.options import Logging
from syncengine.cli.output import exit_code, listening, refuse, say

if TYPE_CHECKING:
    from syncengine.job import Job
    from syncengine.model.plan import Plan
    from syncengine.protocols import View


def show_plans(
    load: Callable[[], tuple[Job, ...]],
    view: View,
    logging: Logging,
    *,
    connection: str | None,
    select: tuple[str, ...],
    diff: bool,
    sql: bool = False,
    detailed: bool = False,
) -> int:
    """Plan what `load` returns, show it, and return the exit code; `detailed`: 2 if there are changes."""
    from syncengine import api
    from syncengine.errors import SyncError
    from syncengine.job import Failed

    try:
        with listening("plan", logging) as (emit, announce):
            planned = api.plan_all(
                load(), connection=connection, select=select, diff=diff, emit=emit, announce=announce
            )
    except SyncError as error:
        return refuse(view, "", error, logging.form)
    failed = [one for one in planned if isinstance(one, Failed)]
    plans = [one for one in planned if not isinstance(one, Failed)]
    say(view.plans(plans, [(one.spec.name, one.error) for one in failed], sql=sql))
    codes = [one.error.exit_code for one in failed] + [_code(plan, detailed) for plan in plans]
    return exit_code(codes)


def _code(plan: Plan, detailed: bool) -> int:
    if plan.preview is None:
        return 0
    if plan.preview.error is not None:
        return plan.preview.error.exit_code
    return 2 if detailed and plan.preview.changes else 0
