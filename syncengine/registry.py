"""Find plug-ins by name: by file name in this package, by entry point elsewhere.

Listing names imports no plug-in; getting one imports that one alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, cast

from syncengine.errors import OptionError
from syncengine.protocols import Mode, SourcePlugin, Strategy, View

Room = Literal["sources", "modes", "strategies", "views"]
_SINGULAR = {"sources": "source type", "modes": "mode", "strategies": "strategy", "views": "format"}


def names(room: Room) -> tuple[str, ...]:
    """Return the names of all plug-ins of `room`, sorted."""
    return tuple(sorted({*_own(room), *_foreign(room)}))


def get(room: Room, name: str) -> object:
    """Return the plug-in `name` of `room`; one of this package wins over an installed one of the same name.

    Raises OptionError with the nearest known name.
    """
    if name in _own(room):
        return importlib.import_module(f"syncengine.{room}.{name}").PLUGIN
    if name in _foreign(room):
        return _foreign(room)[name].load()
    raise _unknown(room, name)


def source(name: str) -> SourcePlugin:
    return cast("SourcePlugin", get("sources", name))


def source_by_extension(extension: str) -> SourcePlugin | None:
    """Return the source type that reads files of this extension: the one of that name, else the last by name."""
    if extension in _own("sources") and extension in source(extension).extensions:
        return source(extension)
    return next((plugin for plugin in reversed(sources()) if extension in plugin.extensions), None)


def sources() -> tuple[SourcePlugin, ...]:
    """Return every source type, by name; imports them all."""
    return tuple(source(name) for name in names("sources"))


def mode(name: str) -> Mode:
    return cast("Mode", get("modes", name))


def strategies() -> tuple[Strategy, ...]:
    """Return every strategy, by name; imports them all."""
    return tuple(cast("Strategy", get("strategies", name)) for name in names("strategies"))


def view(name: str) -> View:
    return cast("View", get("views", name))


@lru_cache
def _own(room: Room) -> frozenset[str]:
    package = PathFinder.find_spec(room, importlib.import_module("syncengine").__path__)
    folders = package.submodule_search_locations if package else None
    found = pkgutil.iter_modules(folders or [])
    return frozenset(module.name for module in found if not module.name.startswith("_"))


@lru_cache
def _foreign(room: Room) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"syncengine.{room}")}


def _unknown(room: Room, name: str) -> OptionError:
    known = names(room)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else None
    return OptionError(
        f"there is no {_SINGULAR[room]} `{name}`", detail=f"known: {', '.join(known)}", hint=hint
    )
