"""How long a run may be silent before another one takes its place."""

from __future__ import annotations

import os

# A run whose server process is gone is dead, but for one that is just connecting anew.
GRACE = 1.0
# So long a run looks whether the one in its way is dying: the server needs a moment to see that a client is gone.
PATIENCE = 3.0
_DEFAULT = 30.0
VARIABLE = "SYNCENGINE_LEASE"


def lease_seconds() -> float:
    """Return the seconds after which a silent run counts as dead: $SYNCENGINE_LEASE, 30 by default, at least 1."""
    try:
        return max(1.0, float(os.environ.get(VARIABLE, _DEFAULT)))
    except ValueError:
        return _DEFAULT
