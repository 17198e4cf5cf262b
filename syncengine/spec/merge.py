"""Lay one document over another: mappings merge key by key, and every value keeps the place where it was written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from syncengine.spec.positions import Document, child
from syncengine.values import replace

Kind = TypeVar("Kind", bound=Document)
Place = TypeVar("Place")


def subtree(document: Document, key: str) -> Document:
    """Return the value of a key of the document's mapping, None where it lacks, as a document of its own."""
    value = document.value.get(key) if isinstance(document.value, dict) else None
    root = child("", key)

    def moved(places: dict[str, Place]) -> dict[str, Place]:
        inside = ((pointer, place) for pointer, place in places.items() if _is_in(pointer, root))
        return {pointer.removeprefix(root): place for pointer, place in inside}

    return Document(
        file=document.file,
        value=value,
        start=document.at(root),
        values=moved(document.values),
        keys=moved(document.keys),
        scalars=moved(document.scalars),
    )


def remainder(lower: Document, upper: Document, without: Iterable[str] = ()) -> Document:
    """Return what is left of the mapping `lower` under `upper`: of the values at one place that of `upper` wins.

    The keys `without` are left out as well.
    """
    given = lower.value if isinstance(lower.value, dict) else {}
    hidden: list[str] = [child("", key) for key in without if key in given]
    value = _left({key: item for key, item in given.items() if key not in without}, upper.value, "", hidden)

    def shown(places: dict[str, Place]) -> dict[str, Place]:
        return {
            pointer: place
            for pointer, place in places.items()
            if not any(_is_in(pointer, root) for root in hidden)
        }

    return replace(
        lower,
        value=value,
        values=shown(lower.values),
        keys=shown(lower.keys),
        scalars=shown(lower.scalars),
    )


def joined(rest: Document, upper: Kind) -> Kind:
    """Return `upper` with what `remainder` left of another document."""
    return replace(
        upper,
        value=_union(rest.value, upper.value),
        values={**rest.values, **upper.values},
        keys={**rest.keys, **upper.keys},
        scalars={**rest.scalars, **upper.scalars},
    )


def overlaid(lower: Document, upper: Kind) -> Kind:
    """Return `upper` laid over `lower`."""
    return joined(remainder(lower, upper), upper)


def spread(document: Document, key: str, into: str) -> None:
    """Write the short form `key: text` of a document's mapping in full, as `key: {into: text}`."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        return
    value[key] = {into: value[key]}
    short, whole = child("", key), child(child("", key), into)
    for places in (document.values, document.keys):
        if short in places:
            places[whole] = places[short]
    if short in document.scalars:
        document.scalars[whole] = document.scalars.pop(short)


def _is_in(pointer: str, root: str) -> bool:
    return pointer == root or pointer.startswith(f"{root}/")


def _left(lower: dict[str, object], upper: object, pointer: str, hidden: list[str]) -> dict[str, object]:
    above = upper if isinstance(upper, dict) else {}
    left: dict[str, object] = {}
    for key, value in lower.items():
        below = child(pointer, key)
        if key not in above:
            left[key] = value
        elif isinstance(value, dict) and isinstance(above[key], dict):
            left[key] = _left(value, above[key], below, hidden)
        else:
            hidden.append(below)
    return left


def _union(rest: object, upper: object) -> object:
    if not isinstance(rest, dict) or not isinstance(upper, dict):
        return upper
    shared = {key: _union(rest[key], upper[key]) for key in rest.keys() & upper.keys()}
    return {**rest, **upper, **shared}
