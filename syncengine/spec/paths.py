"""Keep the files of a spec inside the folders it may read.

A path is relative to the spec's folder, and may lead into the project folder or one of the listed roots, no
further; symbolic links are followed before that is decided.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from syncengine.errors import Location, SpecError


def resolve_path(
    path: str, folder: str | Path, roots: Iterable[str | Path], location: Location | None = None
) -> Path:
    """Return `path` (also a `file://` URL) as an absolute path without symbolic links; it need not exist.

    `roots` are all folders that may be read, the project folder among them.  Raises SpecError for a path
    outside. A glob is not expanded: every file that it names has to be resolved again.
    """
    plain = _without_scheme(path, location)
    if "\x00" in plain:
        raise SpecError("a path holds a NUL character", location=location)
    absolute = Path(os.path.realpath(os.path.join(folder, os.path.expanduser(plain))))
    allowed = [Path(os.path.realpath(root)) for root in roots]
    if not any(absolute.is_relative_to(root) for root in allowed):
        raise SpecError(
            f"the path {path} leads out of the project",
            location=location,
            detail=f"allowed: {', '.join(str(root) for root in allowed)}",
            hint="list its folder under `roots:` in syncengine.yaml",
        )
    return absolute


def _without_scheme(path: str, location: Location | None) -> str:
    if not path.lower().startswith("file://"):
        return path
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise SpecError(
            f"{path} names the host {parts.netloc}", location=location, hint="write file:///absolute/path"
        )
    return unquote(parts.path)
