"""Of what kinds the values of a typed source are, by staging column: what types are inferred from besides the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Kinds = Mapping[str, frozenset[str]]


def union(known: Kinds | None, more: Kinds | None) -> Kinds | None:
    """Return the kinds of both, None where neither was observed.

    >>> union({"a": frozenset({"text"})}, None)
    {'a': frozenset({'text'})}
    """
    if known is None or more is None:
        return more if known is None else known
    return {name: known.get(name, frozenset()) | more.get(name, frozenset()) for name in {**known, **more}}


def written(kinds: Kinds) -> dict[str, list[str]]:
    """Return kinds as JSON takes them."""
    return {name: sorted(found) for name, found in kinds.items()}


def read(document: Mapping[str, Sequence[str]]) -> Kinds:
    """Return kinds that were `written`."""
    return {name: frozenset(found) for name, found in document.items()}
