"""Where rows come from: one module per source type; modules that start with `_` are shared helpers.

Rows handed over by a Python caller are no type of the spec language, so they have no plug-in: `handed_over`.
"""

from syncengine.protocols import Source
from syncengine.sources._async import from_async
from syncengine.sources._iterable import IterableSource, close

__all__ = ["IterableSource", "close", "from_async", "handed_over"]


def handed_over(rows: object, expected: tuple[str, ...]) -> Source:
    """Return the source of what a Python caller handed over: Arrow data, or an iterable of rows."""
    from syncengine.sources._frames import frame_source, is_arrow

    return frame_source(rows) if is_arrow(rows) else IterableSource(rows, expected)
