"""FAULT: the words for what a node's disk is to do, and for what it does. Pure.

    hang          nothing is written or synced any more, until the disk is ok
    slow 200ms    each sync takes so much longer
    full          nothing finds space
    fail-write    the next write fails
    fail-sync     the next sync fails
    cycle 5s 5s   hangs for the first duration, works for the second, and so on
    ok            the disk is well

What they do is told in `node/faults/disks.py`. The names there are those of the simulated world,
`hang-disk`, `slow-disk`, `full-disk`; they will do here too.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.errors import UsageError
from node.quantities import parse_duration_s, write_duration
from node.wire import DiskFault, DiskFaultKind

FAULT_WORDS = ("hang", "slow", "full", "fail-write", "fail-sync", "cycle", "ok")
MOST_DELAY_S = 3600.0
LEAST_CYCLE_S = 0.001

_KINDS: dict[str, DiskFaultKind] = {
    "hang": "hang-disk",
    "hang-disk": "hang-disk",
    "full": "full-disk",
    "full-disk": "full-disk",
    "fail-write": "fail-write",
    "fail-sync": "fail-sync",
}
_SLOW = ("slow", "slow-disk")
_CYCLE = ("cycle", "cycle-disk")


def split_words(words: Sequence[str]) -> tuple[list[str], str]:
    """The targets, and the fault that follows them: its last word, or the last two or three where
    the fault takes durations."""
    for count, names in ((3, _CYCLE), (2, (*_SLOW, *_CYCLE))):
        if len(words) > count and words[-count].lower() in names:
            return list(words[:-count]), " ".join(words[-count:])
    return list(words[:-1]), words[-1]


def parse_fault(text: str) -> DiskFault | None:
    """What the words mean; None: that the disk is well. Raises UsageError."""
    words = text.lower().split()
    if words == ["ok"]:
        return None
    if words and words[0] in _SLOW:
        return _lasting("slow-disk", text, words[1:])
    if words and words[0] in _CYCLE:
        return _lasting("cycle-disk", text, words[1:])
    if len(words) != 1 or words[0] not in _KINDS:
        raise UsageError(
            f"a disk cannot do {text!r}: it can hang, be slow by a duration (slow 200ms), "
            "be full, fail-write, fail-sync, cycle through two durations (cycle 5s 5s), or be ok"
        )
    return DiskFault(_KINDS[words[0]])


def check_fault(fault: DiskFault) -> None:
    """Raises UsageError for a fault that no disk can have, wherever it comes from."""
    if fault.kind == "slow-disk":
        if not 0 < fault.delay_s <= MOST_DELAY_S or fault.works_s:
            raise UsageError(
                "slow takes a duration with a unit, such as 200ms, "
                f"of at most {write_duration(MOST_DELAY_S)}"
            )
    elif fault.kind == "cycle-disk":
        lengths = (fault.delay_s, fault.works_s)
        if not all(LEAST_CYCLE_S <= length <= MOST_DELAY_S for length in lengths):
            raise UsageError(
                "cycle takes two durations with units, such as 5s 5s, each from "
                f"{write_duration(LEAST_CYCLE_S)} to {write_duration(MOST_DELAY_S)}"
            )
        return
    elif fault.delay_s:
        raise UsageError(f"a disk with the fault {fault.kind} takes no delay")
    if fault.works_s:
        raise UsageError(f"a disk with the fault {fault.kind} takes no second duration")


def describe(fault: DiskFault) -> str:
    """In the words of `ps` and the timeline: `hang-disk`, `slow-disk 200ms`."""
    if fault.kind == "slow-disk":
        return f"slow-disk {write_duration(fault.delay_s)}"
    if fault.kind == "cycle-disk":
        return f"cycle-disk {write_duration(fault.delay_s)} {write_duration(fault.works_s)}"
    return fault.kind


def ailment(fault: DiskFault | None, stalled: bool) -> str:
    """What is wrong with a disk; empty when nothing is.

    stalled: a write has been under way for longer than an election timeout
    """
    said = [] if fault is None else [describe(fault)]
    if stalled:
        said.append("a write hangs")
    return ", ".join(said)


def with_folder_gone(said: str) -> str:
    """What is wrong with the disk of a node that runs, and whose folder is not there any more."""
    return ", ".join(filter(None, (said, "its folder was removed or replaced")))


def _lasting(kind: DiskFaultKind, text: str, words: list[str]) -> DiskFault:
    """A fault with durations; what is wrong with them is for `check_fault`."""
    try:
        lengths = [parse_duration_s(word) for word in words]
        fault = DiskFault(kind, *lengths)
    except (ValueError, TypeError):  # TypeError: too many
        fault = DiskFault(kind)
    try:
        check_fault(fault)
    except UsageError as error:
        raise UsageError(f"a disk cannot be {text!r}: {error}") from error
    return fault
