"""What kinds of faults are called, and what each does: the words that the simulated world and the
chaos on real processes share. Pure.

How often a kind happens and how long it lasts differs between the two, and stands with each:
`launcher/simulation/faults/schedule.py`, `launcher/lab/chaos/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from launcher.errors import UsageError

LEADER = "leader"
FOLLOWER = "follower"
ANY = "any"
ALL = "all"
"""What a fault is aimed at. Which nodes these are is decided when the fault begins."""

RECONFIGURE = "reconfigure"
REBUILD = "rebuild"
FLIP_BIT = "flip-bit"
WIPE = "wipe"
SET_BACK = "set-back"
RECOVER = "recover"
ADD = "add"
REMOVE = "remove"
SUPERVISOR = "supervisor"
ROLL = "roll"
THROTTLE = "throttle"
CYCLE_DISK = "cycle-disk"
RATE = "rate"
HOLD = "hold"
POINT = "point"

TEXTS: dict[str, str] = {
    "partition": "the nodes are split into two or three groups",
    "isolate": "one node neither sends nor receives",
    "deafen": "one node sends but receives nothing",
    "mute": "one node receives but sends nothing",
    "cut": "some directed links lose everything",
    "flaky": "messages are lost and duplicated",
    "reorder": "messages overtake each other",
    "slow-link": "the messages of one node are late",
    "kill": "SIGKILL; unsynced writes survive",
    "kill-twice": "SIGKILL, and again during the recovery",
    "kill-all": "SIGKILL of every node",
    "power": "the power fails; unsynced writes are lost, or torn",
    "blackout": "the power of every node fails",
    "hunt": "each new leader is killed or cut off within moments",
    "ambush": "a node is struck just after a vote, a snapshot or the like",
    "pause": "SIGSTOP, then SIGCONT",
    "clock": "clocks run fast or slow, step, or jump forth and back",
    "slow-disk": "syncs are slow",
    "hang-disk": "the disk hangs, then continues",
    "full-disk": "no write finds space",
    "fail-write": "the next write fails",
    "fail-sync": "the next sync fails, and its pages are marked clean",
    "snapshot": "a node is told to take a snapshot",
    RECONFIGURE: "the voters are replaced by others",
    REBUILD: "a node is rebuilt: it leaves, loses its data, and is added again",
    FLIP_BIT: "SIGKILL, and one bit on the disk flips",
    "transfer": "the leader is asked to hand over, perhaps again and again",
    WIPE: "SIGKILL, and the node's folder is emptied",
    SET_BACK: "SIGKILL, and an older copy of the node's folder is put back",
    RECOVER: "the cluster is recovered from one node's data",
    ADD: "one or two new nodes are added",
    REMOVE: "a node is removed, perhaps one that is being added",
    SUPERVISOR: "SIGKILL of the supervisor, perhaps in the middle of a change",
    ROLL: "all nodes are restarted, one at a time",
    THROTTLE: "a node gets a share of a core, in slices of 100 ms",
    CYCLE_DISK: "the disk stalls and works in turn",
    RATE: "few bits per second cross the links of one node",
    HOLD: "links of one node hold all messages, and let them go at the end",
    POINT: "a point in the code is armed: whoever comes there is killed, stopped or held up",
}
"""Every kind of fault of the simulated world, by name: what it does, for people."""

GROUPS: dict[str, tuple[str, ...]] = {
    "all": tuple(TEXTS),
    "none": (),
    "link": ("cut", "flaky", "reorder", "slow-link", HOLD, RATE),
    "disk": ("slow-disk", "hang-disk", "full-disk", "fail-write", "fail-sync"),
    "membership": (RECONFIGURE,),
}
"""Names for several kinds together."""


def parse_faults(
    text: str,
    kinds: Iterable[str] = TEXTS,
    groups: Mapping[str, Sequence[str]] = GROUPS,
) -> tuple[str, ...]:
    """The kinds that a list of kinds and groups, with commas, stands for. Raises UsageError.

    kinds: those that there are, in the order of the answer
    """
    known = tuple(kinds)
    chosen: set[str] = set()
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in known and name not in groups:
            there = ", ".join((*groups, *known))
            raise UsageError(f"--faults {text}: no fault is called {name!r}; there are {there}")
        chosen |= set(groups.get(name, (name,)))
    return tuple(kind for kind in known if kind in chosen)
