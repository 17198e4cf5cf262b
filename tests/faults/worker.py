"""A run that sends itself a signal at one of its events:  python -m tests.faults.worker SPEC URL NUMBER SIGNAL

It prints a document like that of `syncengine run --format json`, with the number of events, and ends with the same
exit codes.  Events of progress don't count: how many there are depends on the time.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import syncengine
from syncengine.model import events as ev
from syncengine.model.report import COUNTERS


class Failpoint:
    """Counts events, and sends the signal at one of them."""

    def __init__(self, at: int, number: signal.Signals) -> None:
        self._at = at
        self._number = number
        self.seen = 0

    def __call__(self, event: ev.Event) -> None:
        if isinstance(event, ev.Progress):
            return
        self.seen += 1
        if self.seen == self._at:
            os.kill(os.getpid(), self._number)


def main(spec: str, url: str, at: str, number: str) -> int:
    failpoint = Failpoint(int(at), signal.Signals[number])
    try:
        report = syncengine.run(spec, connection=url, emit=failpoint)
    except syncengine.SyncError as error:
        print(json.dumps({"events": failpoint.seen, "specs": [{"error": error.document()}]}))
        return error.exit_code
    counted = {name: getattr(report, name) for name in COUNTERS}
    print(json.dumps({"events": failpoint.seen, "specs": [counted]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
