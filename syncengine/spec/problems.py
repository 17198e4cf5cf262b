"""Turn what JSON Schema finds wrong into errors that a person can mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from syncengine import redact
from syncengine.errors import SpecError
from syncengine.spec.positions import Document, child, scalar
from syncengine.spec.sound import sound
from syncengine.spec.words import hint_for_key, hint_for_value

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

_TYPES = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
# Looking for the nearest word takes a while.
_HINTED = 50
_DURATION = "write a number with us, ms, s, min, h or d, such as `5s`"
_SHARE = "write a count such as 100, or a share such as `5%`"


class Findings:
    """The problems of one value, and the pointers of the values they are about."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[SpecError] = []
        self.broken: set[str] = set()
        self._told: set[str] = set()

    def add(self, pointer: str, message: str, hint: str | None = None, *, at_key: bool = False) -> None:
        place = self.document.at_key(pointer) if at_key else self.document.at(pointer)
        problem = SpecError(
            redact.redact(message), hint=redact.redact(hint) if hint else None, location=place
        )
        if (text := str(problem)) not in self._told:
            self._told.add(text)
            self.problems.append(problem)


def check(
    value: dict[str, Any],
    schema: dict[str, Any],
    document: Document,
    *,
    base: str = "",
    expanded: Iterable[str] = (),
) -> Findings:
    """Validate `value`, found at `base` of the document, by `schema`.

    Texts that came from `${…}` (at the pointers `expanded`) become numbers or booleans in place where that
    helps.
    """
    findings = Findings(document)
    if sound(value, schema):
        return findings
    validator = _validator(schema)
    errors = list(_flat(validator.iter_errors(value)))
    reread = [_reread(value, error, base, frozenset(expanded)) for error in errors]
    if any(reread):
        errors = list(_flat(validator.iter_errors(value)))
    for error in errors:
        _report(error, base, findings)
    return findings


def shown(value: object) -> str:
    """Return a value as an error may quote it: short, on one line, without secrets."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = (
        "{…}"
        if isinstance(value, dict)
        else "[…]"
        if isinstance(value, list)
        else " ".join(str(value).split())
    )
    # Cut after masking: a part of a secret would not be known as one.
    text = redact.redact(text)
    return text if len(text) <= 60 else f"{text[:57]}…"


def spoken(pointer: str) -> str:
    """Return a JSON pointer as people write it: `execution.retries`, `conflict_keys[0]`."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    text = "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in keys).removeprefix(".")
    return text if len(text) <= 100 else f"{text[:97]}…"


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


def _flat(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Replace the error of an alternative by those of the branch that was meant."""
    for error in errors:
        if error.validator not in ("anyOf", "oneOf"):
            yield error
            continue
        branches: dict[Any, list[ValidationError]] = {}
        for below in error.context or ():
            branches.setdefault(below.schema_path[0], []).append(below)
        meant = [found for found in branches.values() if not any(_is_other_type(below) for below in found)]
        if len(meant) == 1:
            yield from _flat(meant[0])
        else:
            yield error


def _is_other_type(error: ValidationError) -> bool:
    if error.relative_path:
        return False
    return error.validator == "type" or (error.validator == "enum" and not isinstance(error.instance, str))


def _pointer(error: ValidationError, base: str) -> str:
    for part in error.absolute_path:
        base = child(base, part)
    return base


def _reread(value: dict[str, Any], error: ValidationError, base: str, expanded: frozenset[str]) -> bool:
    if not isinstance(error.instance, str) or _pointer(error, base) not in expanded:
        return False
    read = scalar(error.instance)
    if isinstance(read, str) or read is None:
        return False
    *above, last = error.absolute_path
    inner: Any = value
    for part in above:
        inner = inner[part]
    inner[last] = read
    return True


def _report(error: ValidationError, base: str, findings: Findings) -> None:
    pointer = _pointer(error, base)
    name = spoken(pointer)
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            _report_unknown(error, pointer, findings)
            return
        case "required":
            for key in (key for key in wanted if key not in value):
                findings.broken.add(child(pointer, key))
                findings.add(pointer, f"{f'{name}: ' if name else ''}the key `{key}` is missing")
        case "type" | "anyOf" | "oneOf":
            message, hint = _wrong_type(name, value, _wanted_types(error))
            findings.add(pointer, message, _DURATION if _is_duration(error) else hint)
        case "enum":
            known = [str(word) for word in wanted if word is not None]
            findings.add(
                pointer, f"`{name}` cannot be `{shown(value)}`", hint_for_value(value, pointer, known)
            )
        case "const":
            findings.add(pointer, f"`{name}` cannot be `{shown(value)}`", f"write {shown(wanted)}")
        case "pattern":
            hint = _SHARE if "%" in wanted else _DURATION
            findings.add(pointer, f"`{name}` cannot be `{shown(value)}`", hint)
        case "minimum" | "maximum":
            word = "least" if error.validator == "minimum" else "most"
            findings.add(pointer, f"`{name}` cannot be {shown(value)}", f"at {word} {wanted}")
        case "maxItems":
            findings.add(pointer, f"`{name}` holds more than {wanted:,} items")
        case "minItems" | "minLength" | "minProperties":
            findings.add(pointer, f"`{name}` is empty")
        case _:
            findings.add(pointer, f"`{name}`: {error.message}")
    findings.broken.add(pointer)


def _is_duration(error: ValidationError) -> bool:
    schema: Any = error.schema
    return "us|ms" in schema.get("pattern", "")


def _report_unknown(error: ValidationError, pointer: str, findings: Findings) -> None:
    schema: Any = error.schema
    instance: Any = error.instance
    known = schema.get("properties", {})
    for number, key in enumerate(key for key in instance if key not in known):
        below = child(pointer, key)
        room = f" in `{spoken(pointer)}`" if pointer else ""
        hint = hint_for_key(key, pointer, known) if number < _HINTED else None
        findings.add(below, f"unknown key `{shown(key)}`{room}", hint, at_key=True)


def _wanted_types(error: ValidationError) -> list[str]:
    """Return the JSON types that would do at the error's place."""
    wanted: Any = error.validator_value
    if error.validator != "type":
        types = [branch.get("type", "string" if "enum" in branch else None) for branch in wanted]
        return [name for name in types if isinstance(name, str)]
    return [wanted] if isinstance(wanted, str) else list(wanted)


def _wrong_type(name: str, value: object, wanted: list[str]) -> tuple[str, str | None]:
    types = " or ".join(dict.fromkeys(_TYPES[kind] for kind in wanted))
    if value is None:
        return f"`{name}` has no value", f"write {types}, or leave the key out"
    subject = f"`{name}`" if name else "a spec"
    message = f"{subject} must be {types}, not {_kind(value)}"
    if "array" in wanted and isinstance(value, str):
        return message, f"write [{shown(value)}]"
    if "string" in wanted and not isinstance(value, (dict, list)):
        return message, f'quote it: "{shown(value)}"'
    return message, None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return f"`{shown(value)}`"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"`{shown(value)}`"
