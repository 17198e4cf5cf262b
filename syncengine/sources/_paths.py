"""Find the files that a `path` names, within the folders that a spec may read."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from syncengine.errors import Location, NotAvailable, SourceError
from syncengine.files import inside
from syncengine.protocols import Whereabouts
from syncengine.sources._decompress import Compression
from syncengine.sources._files import FileInput, Input, StdinInput, not_regular, outside, unreadable

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
    found = find(path, where)
    return tuple(FileInput(file, label_of(file, where), chosen, _roots(where)) for file in found)


def _roots(where: Whereabouts) -> tuple[str, ...]:
    return tuple(os.path.realpath(root) for root in where.roots or (where.folder,))


def label_of(path: Path, where: Whereabouts) -> str:
    return os.path.relpath(path, where.folder)


def source_label(path: str, found: Sequence[Input]) -> str:
    return found[0].label if len(found) == 1 else f"{len(found)} files: {path}"


def find(pattern: str, where: Whereabouts) -> tuple[Path, ...]:
    """Return the regular files that match, sorted by path; a name that exists is never read as a glob."""
    path = os.path.join(where.folder, _local(pattern))
    if os.path.lexists(path) or not glob.has_magic(pattern):
        return (_checked(path, pattern, where),)
    found = sorted(path for path in _matches(_local(pattern), where.folder) if not os.path.isdir(path))
    if not found:
        hint = "the path is relative to the spec's folder"
        raise SourceError(f"no file matches {pattern}", detail=f"looked in {where.folder}", hint=hint)
    return tuple(_checked(match, label_of(Path(match), where), where) for match in found)


def _matches(pattern: str, folder: str) -> Iterator[str]:
    """Yield what a glob names; `**` follows no symbolic link to a folder, for that may lead around in a circle."""
    wanted = os.path.join(glob.escape(folder), pattern)
    if "**" not in Path(pattern).parts:
        yield from glob.iglob(wanted)
        return
    above, below = pattern.split("**", 1)
    for start in glob.iglob(os.path.join(glob.escape(folder), above)):
        for current, folders, files in os.walk(start):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inner = Path(current).relative_to(start).parts
            yield from (
                os.path.join(current, name)
                for name in files
                if _fits((*inner, name), Path(f"**{below}").parts)
            )


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Tell whether a path matches a glob, part by part; wildcards match no name that begins with a dot."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_fits(parts[skipped:], wanted[1:]) for skipped in range(len(parts) + 1))
    if not parts or (parts[0].startswith(".") and not wanted[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and _fits(parts[1:], wanted[1:])


def _local(path: str) -> str:
    scheme = urlsplit(path).scheme if "://" in path else ""
    if scheme == "file":
        return unquote(urlsplit(path).path)
    if scheme:
        raise NotAvailable(f"sources at {scheme}:// URLs are not available yet", hint="give a local file")
    return path


def _checked(path: str, shown: str, where: Whereabouts) -> Path:
    real = Path(os.path.realpath(path))
    if not inside(str(real), _roots(where)):
        raise outside(shown, str(real), _roots(where))
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
