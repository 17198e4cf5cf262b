"""The page of errors (docs/errors.md), which the package holds, cut into its sections."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

from syncengine.errors import OptionError

_FENCED = re.compile(r"```\w*\n(.*?)```\n?", re.DOTALL)


@lru_cache
def sections() -> dict[str, str]:
    """Return each code's section, without its heading, in the order of the page."""
    page = files("syncengine").joinpath("pages", "errors.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {code: text.strip() + "\n" for code, text in zip(parts[::2], parts[1::2], strict=True)}


def section(code: str) -> str:
    """Return the section of a code, however it is written; raises OptionError with the nearest one.

    >>> section("[NULL_KEYS]") == section("null-keys")
    True
    """
    found = sections().get(_normal(code))
    if found is None:
        raise _unknown(code)
    return found


def meaning(code: str) -> str:
    """Return the first paragraph of a section on one line.

    >>> meaning("bad-row")
    "A row holds a value that its column's type or a constraint refuses."
    """
    return " ".join(section(code).partition("\n\n")[0].split())


def plain(code: str) -> str:
    """Return a section for a terminal: without marks of emphasis, and examples indented."""

    def indented(match: re.Match[str]) -> str:
        return re.sub(r"^(?=.)", "    ", match[1], flags=re.MULTILINE)

    text = _FENCED.sub(indented, section(code)).replace("**", "")
    return f"{_normal(code)}\n\n{text}"


def _normal(code: str) -> str:
    return code.strip("[] ").lower().replace("_", "-")


def _unknown(code: str) -> OptionError:
    from difflib import get_close_matches

    near = get_close_matches(_normal(code), sections(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "`syncengine explain` lists them"
    return OptionError(
        f"there is no error code `{code}`", detail=f"there are {', '.join(sections())}", hint=hint
    )
