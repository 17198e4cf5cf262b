"""Find the files that a `path` names, within the folders that a spec may read."""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from syncengine.errors import Location, NotAvailable, SourceError, SpecError
from syncengine.protocols import Whereabouts
from syncengine.sources._decompress import Compression
from syncengine.sources._files import FileInput, Input, StdinInput, not_regular, unreadable

STDIN = "-"

PATH_OPTIONS: Mapping[str, object] = {
    "path": {
        "title": "Path",
        "type": "string",
        "minLength": 1,
        "examples": ["data/users.csv", "data/*.csv.gz", "-"],
        "description": "A file, a glob such as data/*.csv (read in order of name), or - for standard input.",
    },
    "encoding": {
        "title": "Encoding",
        "examples": ["cp1252", "utf-16"],
        "type": "string",
        "default": "utf-8",
        "description": "The text encoding, by any name that Python knows, such as latin-1 or utf-16.",
    },
    "compression": {
        "title": "Compression",
        "enum": ["none", "gzip", "zstd", "bz2"],
        "enumDescriptions": ["As it is.", "As gzip packs it.", "As zstd packs it.", "As bzip2 packs it."],
        "description": "By default what the file's extension says: .gz, .zst or .bz2.",
    },
}


def inputs(path: str, compression: str | None, where: Whereabouts) -> tuple[Input, ...]:
    """Return the files that `path` names, in the order of their names; standard input for `-`.

    SourceError if there is none or one cannot be read; SpecError if one lies outside the folders allowed.
    """
    chosen = cast("Compression | None", compression)
    if path == STDIN:
        return (StdinInput(chosen),)
    return tuple(FileInput(found, label_of(found, where), chosen) for found in find(path, where))


def label_of(path: Path, where: Whereabouts) -> str:
    return os.path.relpath(path, where.folder)


def source_label(path: str, found: Sequence[Input]) -> str:
    return found[0].label if len(found) == 1 else f"{len(found)} files: {path}"


def find(pattern: str, where: Whereabouts) -> tuple[Path, ...]:
    """Return the regular files that match, sorted by path; a name that exists is never read as a glob."""
    path = os.path.join(where.folder, _local(pattern))
    if os.path.lexists(path) or not glob.has_magic(pattern):
        return (_checked(path, pattern, where),)
    wanted = os.path.join(glob.escape(where.folder), _local(pattern))
    found = sorted(match for match in glob.glob(wanted, recursive=True) if not os.path.isdir(match))
    if not found:
        hint = "the path is relative to the spec's folder"
        raise SourceError(f"no file matches {pattern}", detail=f"looked in {where.folder}", hint=hint)
    return tuple(_checked(match, label_of(Path(match), where), where) for match in found)


def _local(path: str) -> str:
    scheme = urlsplit(path).scheme if "://" in path else ""
    if scheme == "file":
        return unquote(urlsplit(path).path)
    if scheme:
        raise NotAvailable(f"sources at {scheme}:// URLs are not available yet", hint="give a local file")
    return path


def _checked(path: str, shown: str, where: Whereabouts) -> Path:
    real = Path(os.path.realpath(path))
    allowed = [Path(os.path.realpath(root)) for root in where.roots or (where.folder,)]
    if not any(real.is_relative_to(root) for root in allowed):
        raise SpecError(
            f"{shown} lies outside the folders that sources may come from",
            detail=f"it is {real}; allowed: {', '.join(str(root) for root in allowed)}",
            hint="add its folder to `roots` in syncengine.yaml",
        )
    try:
        mode = real.stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(f"no such file: {shown}", hint=_nearest(path), location=Location(shown)) from error
    except OSError as error:
        raise unreadable(shown, error) from error
    if not stat.S_ISREG(mode):
        raise not_regular(shown, mode)
    return Path(path)


def _nearest(path: str) -> str | None:
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    near = difflib.get_close_matches(name, os.listdir(folder), n=1)
    return f"did you mean {near[0]}?" if near else None
