"""What a spec takes over from the `defaults` of its project file: all that it does not say itself."""

from __future__ import annotations

from syncengine.spec.merge import remainder, spread
from syncengine.spec.positions import Document
from syncengine.spec.project import Project

# A text may stand for these mappings: the value of this one key.
_SHORT = {"source": "path", "target": "table"}
# Two ways to say one thing: who says it in one way does not take over the other.
_EITHER = frozenset({"conflict_keys", "conflict_constraint"})


def defaults_for(document: Document, project: Project, *, needs_source: bool) -> Document | None:
    """Return the part of the project's defaults that a spec takes over, unexpanded.

    A source or target that the spec writes as a text is written in full where the defaults add to it.
    """
    defaults = project.defaults
    if defaults is None or not isinstance(defaults.value, dict) or not isinstance(document.value, dict):
        return None
    given = document.value
    for key, into in _SHORT.items():
        if isinstance(defaults.value.get(key), dict):
            spread(document, key, into)
    without = set(_EITHER) if _EITHER & given.keys() else set()
    if not needs_source and "source" not in given:
        without.add("source")  # the caller brings the rows
    return remainder(defaults, document, without=without)
