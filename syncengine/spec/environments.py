"""Environments of a project file: the one that `--env` names is laid over the rest of the file."""

from __future__ import annotations

from collections.abc import Iterable

from syncengine.errors import OptionError
from syncengine.spec.merge import overlaid, remainder, subtree
from syncengine.spec.positions import Document
from syncengine.spec.words import nearest
from syncengine.values import replace

KEY = "environments"


def in_environment(document: Document, name: str | None) -> Document:
    """Return a project file as the environment `name` has it, without its environments.  Raises OptionError."""
    nothing = Document(file=document.file, start=document.start)
    base = remainder(document, nothing, without=(KEY,))
    if name is None:
        return base
    environments = subtree(document, KEY)
    known = environments.value if isinstance(environments.value, dict) else {}
    if name not in known:
        error = no_such_environment(name, known)
        error.location = document.at(f"/{KEY}")
        raise error
    return replace(overlaid(base, subtree(environments, name)), start=document.start)


def no_such_environment(name: str, known: Iterable[str]) -> OptionError:
    """Return the error for an `--env` that the project file does not have."""
    known = sorted(known)
    near = nearest(name, known)
    hint = (
        f"known: {', '.join(known)}"
        if known
        else f"write `environments: {{{name}: {{…}}}}` into syncengine.yaml"
    )
    return OptionError(
        f"there is no environment `{name}`", hint=f"did you mean `{near}`? {hint}" if near else hint
    )
