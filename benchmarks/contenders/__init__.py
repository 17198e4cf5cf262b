"""Who competes: each contender is one value, in the file of its kind; `ALL` has them by name."""

from __future__ import annotations

from benchmarks.contenders import by_hand, libraries, ours, peers
from benchmarks.contenders.contender import Contender, Job, Kind

__all__ = ["ALL", "Contender", "Job", "Kind"]

ALL: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        *ours.CONTENDERS,
        *by_hand.CONTENDERS,
        *libraries.CONTENDERS,
        *peers.CONTENDERS,
    )
}
