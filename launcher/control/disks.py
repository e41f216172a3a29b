"""FAULT: the words for what a node's disk is to do, and for what it does. Pure.

    hang          nothing is written or synced any more, until the disk is ok
    slow 200ms    each sync takes so much longer
    full          nothing finds space
    fail-write    the next write fails
    fail-sync     the next sync fails
    ok            the disk is well

What they do is told in `node/faults/disks.py`. The names there are those of the simulated world,
`hang-disk`, `slow-disk`, `full-disk`; they will do here too.
"""

from __future__ import annotations

from launcher.errors import UsageError
from node.quantities import parse_duration_s, write_duration
from node.wire import DiskFault, DiskFaultKind

FAULT_WORDS = ("hang", "slow", "full", "fail-write", "fail-sync", "ok")
MOST_DELAY_S = 3600.0

_KINDS: dict[str, DiskFaultKind] = {
    "hang": "hang-disk",
    "hang-disk": "hang-disk",
    "full": "full-disk",
    "full-disk": "full-disk",
    "fail-write": "fail-write",
    "fail-sync": "fail-sync",
}
_SLOW = ("slow", "slow-disk")


def takes_duration(word: str) -> bool:
    """Whether the fault of this name stands in two words."""
    return word.lower() in _SLOW


def parse_fault(text: str) -> DiskFault | None:
    """What the words mean; None: that the disk is well. Raises UsageError."""
    words = text.lower().split()
    if words == ["ok"]:
        return None
    if words and takes_duration(words[0]):
        return _slow(text, words[1:])
    if len(words) != 1 or words[0] not in _KINDS:
        raise UsageError(
            f"a disk cannot do {text!r}: it can hang, be slow by a duration (slow 200ms), "
            "be full, fail-write, fail-sync, or be ok"
        )
    return DiskFault(_KINDS[words[0]])


def check_fault(fault: DiskFault) -> None:
    """Raises UsageError for a fault that no disk can have, wherever it comes from."""
    if fault.kind == "slow-disk":
        if not 0 < fault.delay_s <= MOST_DELAY_S:
            raise UsageError(
                "slow takes a duration with a unit, such as 200ms, "
                f"of at most {write_duration(MOST_DELAY_S)}"
            )
    elif fault.delay_s:
        raise UsageError(f"a disk with the fault {fault.kind} takes no delay")


def describe(fault: DiskFault) -> str:
    """In the words of `ps` and the timeline: `hang-disk`, `slow-disk 200ms`."""
    if fault.kind == "slow-disk":
        return f"slow-disk {write_duration(fault.delay_s)}"
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


def _slow(text: str, words: list[str]) -> DiskFault:
    try:
        (duration,) = words
        fault = DiskFault("slow-disk", parse_duration_s(duration))
    except ValueError:
        fault = DiskFault("slow-disk")
    try:
        check_fault(fault)
    except UsageError as error:
        raise UsageError(f"a disk cannot be {text!r}: {error}") from error
    return fault
