"""Where rows come from: one module per source type; modules that start with `_` are shared helpers.

Rows handed over by a Python caller are no type of the spec language, so they have no plug-in: IterableSource.
"""

from syncengine.sources._async import from_async
from syncengine.sources._iterable import IterableSource, close

__all__ = ["IterableSource", "close", "from_async"]
