"""Ask the advisory service about what is installed: `python -m tests.audit` fails on a known vulnerability.

Where the service can't be asked it says so and goes on: a machine without that network must still be able to test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

# The package itself is not published yet.
COMMAND = ("-m", "pip_audit", "--local", "--skip-editable", "--format", "json", "--progress-spinner", "off")
SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the audit came to; `failed`: something has to be done."""

    text: str
    failed: bool = False


def judged(output: str) -> Verdict:
    """Return the verdict on what pip-audit prints as JSON; an empty text is what it leaves when it can't ask."""
    try:
        found: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(text="not audited: the advisory service can't be reached")
    lines = [_told(one, fault) for one in found for fault in one.get("vulns", ())]
    if lines:
        return Verdict(text="\n".join(["known vulnerabilities:", *lines]), failed=True)
    skipped = [one["name"] for one in found if "skip_reason" in one]
    if len(skipped) == len(found):
        return Verdict(text="not audited: the advisory service knows none of the packages")
    text = f"{len(found) - len(skipped)} packages have no known vulnerability"
    return Verdict(text=f"{text}; not known to the service: {', '.join(skipped)}" if skipped else text)


def _told(one: dict[str, Any], fault: dict[str, Any]) -> str:
    mended = ", ".join(fault.get("fix_versions") or ()) or "no version yet"
    return f"  {one['name']} {one['version']}: {fault['id']}, mended in {mended}"


def main() -> int:
    """Audit the environment of this Python, and say what came of it."""
    try:
        done = subprocess.run(
            [sys.executable, *COMMAND], capture_output=True, encoding="utf-8", timeout=SECONDS
        )
        verdict = judged(done.stdout)
    except subprocess.TimeoutExpired:
        verdict = judged("")
    print(verdict.text)
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
