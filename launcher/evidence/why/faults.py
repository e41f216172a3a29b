"""Faults: which one killed a process, cut a link or hung a disk, and whether it was in force then.

A fault that was injected is a cause from outside, so explanations end with it. It is found by its
id, where the event of a message names it, and otherwise by its kind, its targets and its time.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.evidence.why.cause import Cause, names, said_of
from launcher.evidence.why.past import Past
from launcher.evidence.why.things import Happening, aimed_at, on

INJECTED = ("fault.injected",)
STAGED = ("leader.deafened", "follower.deafened", "leader.killed", "disk.hung")
"""What the last part of a simulated run does to its nodes."""

_HEALED = ("fault.healed", "faults.stopped")

KILLS = frozenset(
    {
        "kill", "kill-twice", "kill-all", "power", "blackout", "hunt", "ambush", "flip-bit", "wipe",
        "set-back", "point", "roll", "rebuild", "recover", "full-disk", "fail-write", "fail-sync",
        "disk",
    }
)  # fmt: skip
"""Kinds of faults that end processes, at once or by a failure that follows."""
STOPS = frozenset({"pause", "throttle", "hunt", "ambush", "point"})
"""Kinds that stop processes for a while."""
CUTS = frozenset({"partition", "isolate", "deafen", "mute", "cut", "hunt", "ambush", "links"})
"""Kinds that may cut links."""
DISKS = frozenset({"slow-disk", "hang-disk", "cycle-disk", "hang", "slow", "full", "cycle", "disk"})
"""Kinds that keep disks from working."""

_PLAIN = {
    "kill": "killed by a fault (SIGKILL)",
    "kill-twice": "killed by a fault (SIGKILL, and again while it starts)",
    "kill-all": "killed with all others by a fault",
    "power": "hit by a loss of power",
    "blackout": "hit by a loss of power, as all others",
    "pause": "stopped by a fault (SIGSTOP)",
    "isolate": "cut off by a fault: it neither sends nor receives",
    "deafen": "made deaf by a fault: it receives nothing",
    "mute": "made mute by a fault: it sends nothing",
}

_ON_TARGETS = {
    "slow-disk": "the disk of {} was made slow by a fault",
    "hang-disk": "the disk of {} was made to hang by a fault",
    "cycle-disk": "the disk of {} was made to stall in turn by a fault",
    "full-disk": "the disk of {} was made full by a fault",
    "fail-write": "the next write of {} was made to fail",
    "fail-sync": "the next sync of {} was made to fail",
    "slow-link": "the links of {} were made slow by a fault",
    "rate": "the links of {} were made narrow by a fault",
    "hold": "links of {} were made to hold all messages by a fault",
    "clock": "the clock of {} was moved by a fault",
    "throttle": "{} was given only a part of a core by a fault",
    "hunt": "a fault strikes each new leader, of {}",
    "ambush": "a fault strikes after certain events, on {}",
    "cut": "some links between {} were cut by a fault",
    "flaky": "the links between {} were made to lose and double messages by a fault",
    "reorder": "the links between {} were made to reorder messages by a fault",
}


def fault_id(fault: Happening) -> object:
    """Its id; in the simulated world its number in the schedule."""
    return fault.fields.get("id", fault.fields.get("number"))


def by_id(past: Past, wanted: object, before: int) -> Happening | None:
    """The fault of that id, if it had been injected by then.

    The last part of a simulated run names its faults by words: `deaf leader`.
    """
    if isinstance(wanted, str) and not wanted.isdigit():
        return past.last(STAGED, before)
    if wanted is None:
        return None
    return past.last(INJECTED, before, lambda one: fault_id(one) == wanted)


def said(fault: Happening) -> str:
    """What the fault is, in a sentence."""
    if fault.kind not in INJECTED:
        return said_of(fault)
    kind = fault.text("fault")
    targets = fault.numbers("targets")
    number = fault_id(fault)
    told = f" (fault {number})" if number is not None else ""
    if kind in _PLAIN and targets:
        return f"{names(targets)} {'was' if len(targets) == 1 else 'were'} {_PLAIN[kind]}{told}"
    groups = fault.fields.get("groups")
    if kind == "partition" and isinstance(groups, list):
        sides = " | ".join(",".join(map(str, one)) for one in groups if isinstance(one, list))
        return f"the network was split by a fault: {sides}{told}"
    if kind == "partition":
        return f"the network was split by a fault{told}"
    if links := links_of(fault):
        shown = ", ".join(f"n{source}>n{target}" for source, target in links[:4])
        more = f" and {len(links) - 4} more" if len(links) > 4 else ""
        return f"a fault on {shown}{more}: {fault.text('does') or kind}{told}"
    if kind in _ON_TARGETS and targets:
        return f"{_ON_TARGETS[kind].format(names(targets))}{told}"
    return said_of(fault) + told


def cause(fault: Happening) -> Cause:
    """A fault as a cause: it came from outside, and nothing more is to be explained."""
    return Cause(said(fault), fault, is_end=True)


def of_link(past: Past, source: int, target: int, before: int) -> Happening | None:
    """The last fault that cut this link and was in force at that place; None: none is known."""
    for fault in _backwards(past, before):
        if fault.text("fault") in CUTS and _cuts(past, fault, source, target):
            return fault if _in_force(past, fault, before) else None
    return None


def of_node(past: Past, node: int, kinds: frozenset[str], before: int) -> Happening | None:
    """The last fault of these kinds that concerns the node and was in force at that place."""
    for fault in _backwards(past, before):
        if fault.text("fault") in kinds and node in concerned(past, fault):
            return fault if _in_force(past, fault, before) else None
    return None


def that_killed(past: Past, node: int, at: Happening) -> Happening | None:
    """The fault that ended the process whose end is `at`."""
    staged = past.last(("leader.killed",), at.place, lambda one: one.number("leader") == node)
    if staged is not None and at.when_ns - staged.when_ns < 2_000_000_000:
        return staged
    spawned = past.last(("node.spawned",), at.place, aimed_at(node))
    since = spawned.place if spawned is not None else -1
    point = past.last(("point.hit",), at.place, on(node), after=since)
    if point is not None and at.when_ns - point.when_ns < 2_000_000_000:
        return point
    for fault in _backwards(past, at.place):
        if fault.text("fault") in KILLS and node in concerned(past, fault):
            lasting = fault.text("fault") not in {"kill", "power"}
            if fault.place > since or (lasting and _in_force(past, fault, at.place)):
                return fault
            return None
    return None


def ending(past: Past, node: int, before: int) -> Happening | None:
    """The fault that has just ended a process, where the supervisor's event that it has ended comes
    only later; None when that came, or when there was no such fault since it was started."""
    since = past.last(("node.spawned", "node.exited"), before, aimed_at(node))
    return past.last(
        INJECTED,
        before,
        lambda one: one.text("fault") in ("kill", "power") and node in concerned(past, one),
        after=since.place if since is not None else -1,
    )


def concerned(past: Past, fault: Happening) -> set[int]:
    """The nodes that a fault is aimed at."""
    targets = set(fault.numbers("targets")) | set(fault.numbers("nodes"))
    groups = fault.fields.get("groups")
    if isinstance(groups, list):
        for group in groups:
            targets |= {one for one in group if isinstance(one, int)}
    for source, target in links_of(fault):
        targets |= {source, target}
    return targets


def links_of(fault: Happening) -> list[tuple[int, int]]:
    """The links that the event of a fault names."""
    links = fault.fields.get("links")
    pairs = links if isinstance(links, list) else []
    return [(one[0], one[1]) for one in pairs if isinstance(one, list) and len(one) == 2]


def _cuts(past: Past, fault: Happening, source: int, target: int) -> bool:
    kind, targets = fault.text("fault"), fault.numbers("targets")
    if links := links_of(fault):
        return (source, target) in links and (
            kind == "partition" or "cut" in (kind, fault.text("does"))
        )
    groups = fault.fields.get("groups")
    if isinstance(groups, list) and groups:
        sides = [group for group in groups if isinstance(group, list)]
        side_of = {node: number for number, side in enumerate(sides) for node in side}
        return source in side_of and target in side_of and side_of[source] != side_of[target]
    match kind:
        case "isolate":
            return source in targets or target in targets
        case "deafen":
            return target in targets
        case "mute":
            return source in targets
    return False


def _in_force(past: Past, fault: Happening, at: int) -> bool:
    """Whether a fault had not ended by that place, as far as the events say."""
    number = fault_id(fault)
    for end in past.all(_HEALED, at, fault.place):
        ids = end.fields.get("ids")
        if end.kind == "faults.stopped" or (isinstance(ids, list) and number in ids):
            return False
        if not isinstance(ids, list) and set(end.numbers("targets")) >= concerned(past, fault):
            return False
        if not isinstance(ids, list) and not end.fields.get("targets"):
            return False
    lasts_s = fault.fields.get("duration_s")
    if isinstance(lasts_s, int | float):
        until_ns = fault.when_ns + int(lasts_s * 1e9)
        place_ns = _when(past, at)
        return place_ns is None or place_ns <= until_ns
    return True


def _when(past: Past, place: int) -> int | None:
    before = past.last_any(place)
    return before.when_ns if before is not None else None


def _backwards(past: Past, before: int) -> Iterator[Happening]:
    """The faults that were injected before that place, the last first."""
    yield from reversed(past.all(INJECTED, before))


def hit(past: Past, node: int, kinds: frozenset[str], after: int, before: int) -> Happening | None:
    """The last fault of these kinds that began between two places, or was in force in between."""
    for fault in _backwards(past, before):
        if fault.text("fault") in kinds and node in concerned(past, fault):
            if fault.place > after or _in_force(past, fault, after):
                return fault
            return None
    return None
