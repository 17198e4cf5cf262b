"""Which specs of a call are meant: `--select NAME`, `tag:TAG`, `+NAME` (with all that it depends on).  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncengine.errors import OptionError
from syncengine.model.spec import Spec
from syncengine.order import Wait
from syncengine.spec.words import nearest

TAG = "tag:"
WITH_NEEDS = "+"


def select(specs: Sequence[Spec], wanted: Sequence[str], waits: Iterable[Wait] = ()) -> tuple[int, ...]:
    """Return the numbers of the selected specs in the given order; all where nothing is `wanted`.

    `waits` tell what a spec depends on.  Raises OptionError for what selects nothing.
    """
    if not wanted:
        return tuple(range(len(specs)))
    waits = tuple(waits)
    chosen: set[int] = set()
    for pattern in wanted:
        found = _matching(specs, pattern)
        chosen |= _with_needs(found, waits) if pattern.startswith(WITH_NEEDS) else found
    return tuple(sorted(chosen))


def asks_for_needs(wanted: Iterable[str]) -> bool:
    """Tell whether any pattern asks for what a spec depends on."""
    return any(pattern.startswith(WITH_NEEDS) for pattern in wanted)


def _matching(specs: Sequence[Spec], pattern: str) -> set[int]:
    plain = pattern.removeprefix(WITH_NEEDS)
    tag = plain.removeprefix(TAG) if plain.startswith(TAG) else None
    if tag is None:
        found = {number for number, spec in enumerate(specs) if spec.name == plain}
        known = {spec.name for spec in specs}
    else:
        found = {number for number, spec in enumerate(specs) if tag in spec.tags}
        known = {f"{TAG}{known}" for spec in specs for known in spec.tags}
    if found:
        return found
    near = nearest(plain, known)
    listed = f"known: {', '.join(sorted(known)[:20])}" if known else "no spec has a tag"
    raise OptionError(f"--select {pattern} selects nothing", hint=f"did you mean {near}?" if near else listed)


def _with_needs(start: set[int], waits: Sequence[Wait]) -> set[int]:
    found, todo = set(start), list(start)
    while todo:
        number = todo.pop()
        for wait in waits:
            if wait.spec == number and wait.needs and wait.after not in found:
                found.add(wait.after)
                todo.append(wait.after)
    return found
