"""What a fault strikes now: its nodes and links, and what that takes away. Pure.

A schedule says `leader`, `any` or `all`; which nodes these are is decided here, when the fault
begins, with the status of the moment. A fault that is aimed at `any` takes the first node, in an
order that the fault's own seed decides, at which it is allowed; one that is aimed at `all` strikes
as many nodes as the budget allows.

Two faults never share a *slot*: what a disk does, what a link does of one sort, whether a process
runs. The end of one would end the other. For the same reason nothing is changed that somebody else
has ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from random import Random

import msgspec

from launcher.control import partitions
from launcher.control.links import LinkChange, ended_by
from launcher.control.naming import Link, link_name, node_names
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.control.targets import WORDS, resolve
from launcher.errors import LauncherError
from launcher.fault_kinds import (
    ADD,
    ALL,
    FOLLOWER,
    LEADER,
    POINT,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    ROLL,
    SET_BACK,
    SUPERVISOR,
    THROTTLE,
    WIPE,
)
from launcher.lab.chaos.budget import (
    NOTHING,
    SOMEBODY_NEW,
    Effect,
    State,
    breaks,
    links_between,
    may,
    state_of,
)
from launcher.lab.chaos.kinds import DROP, FREEZE, TIME_OUT
from launcher.lab.chaos.schedule import Fault
from launcher.lab.chaos.wording import (
    ADDITIONS,
    DISK_KINDS,
    GROUPINGS,
    LINK_KINDS,
    clock_change,
    link_change,
    point_and_action,
    share_of_links,
)
from launcher.settings import MAX_NODES
from node.faults.links import partition
from node.raft.messages import NodeId

MOST_NODES_MORE = 2
"""Chaos never makes a cluster larger than it was by more nodes than this."""

LEAST_NODES = 3
"""Chaos never makes a cluster smaller than this."""

STEADY_RATES = (0.95, 1.05)
"""With leases, a clock runs no slower and no faster than this (docs/BREAKING.md)."""

_TRIES = 12
"""How many choices at random a partition or a set of links has to come out within the budget."""

_ENDS_PROCESS = (
    *("kill", "kill-twice", "kill-all", "power", "blackout", "pause"),
    *(WIPE, SET_BACK, RECOVER, REBUILD),
)
_CHANGES_MEMBERS = (WIPE, SET_BACK, RECOVER, REBUILD, ADD, REMOVE, RECONFIGURE)
_TAKES_NOTHING = ("slow-disk", "clock", "snapshot", "transfer", TIME_OUT)


class Aim(msgspec.Struct, frozen=True):
    """What a fault strikes.

    spec: of a partition, where groups say all of it
    """

    nodes: tuple[NodeId, ...] = ()
    links: tuple[Link, ...] = ()
    effect: Effect = NOTHING
    slots: frozenset[str] = frozenset()
    spec: str = ""


NOWHERE = Aim()


class View(msgspec.Struct, frozen=True):
    """What is known when a fault is aimed.

    in_force: what the other faults of this run have struck
    began_with: how many nodes there were in the beginning
    leases: reads are served from leases, so clocks must stay steady
    beyond_quorum: the budget does not count
    exclude: TARGETs that are never struck
    """

    status: ClusterStatus
    in_force: tuple[Aim, ...] = ()
    began_with: int = 0
    leases: bool = False
    beyond_quorum: bool = False
    exclude: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """What counts now, with all that is in force."""
        state = state_of(self.status)
        for one in self.in_force:
            state = state.after(one.effect)
        return state

    @property
    def taken(self) -> frozenset[str]:
        """The slots of all that is in force."""
        return frozenset().union(*(one.slots for one in self.in_force))

    def check_exclude(self) -> None:
        """Raises UsageError for a node that is to be left out and is none."""
        for word in self.exclude:
            with suppress(LauncherError) if word in WORDS else nullcontext():
                resolve([word], self.status, "link", Random(0))


def aim(fault: Fault, view: View) -> Aim | str:
    """What the fault strikes; or why it strikes nothing now, in one line."""
    rng = Random(f"{fault.draw}")
    try:
        excluded = _excluded(view, rng)
        if not _members(view.status):
            return "nobody knows who is a member"
        if view.status.frozen and fault.kind != FREEZE:
            return "the cluster is frozen"
        reason = "no node or link is left that it could strike"
        for candidate in _candidates(fault, view, excluded, rng):
            if isinstance(candidate, str):
                return candidate
            refused = _refusal(candidate, view)
            if refused is None:
                return candidate
            reason = refused
    except LauncherError as error:
        return str(error)
    return reason


def _candidates(
    fault: Fault, view: View, excluded: frozenset[NodeId], rng: Random
) -> Iterator[Aim | str]:
    """What the fault could strike, best first; a text: why it cannot strike now."""
    status = view.status
    if fault.kind in _CHANGES_MEMBERS and (why := _is_changing(status)):
        yield why
        return
    if fault.kind == "partition":
        yield from _partitions(fault, view, excluded, rng)
    elif fault.kind in ("flaky", "reorder", "cut"):
        yield from _link_sets(fault, view, excluded, rng)
    elif fault.kind in (FREEZE, SUPERVISOR):
        ids = tuple(node.id for node in status.nodes)
        slots = frozenset((fault.kind, *(f"process n{node}" for node in ids)))
        yield Aim(ids, (), Effect(out=frozenset(ids)), slots)
    elif fault.kind == ROLL:
        ids = tuple(node.id for node in status.nodes if node.id not in excluded)
        yield Aim(ids, (), Effect(next_out=frozenset(ids)), frozenset((ROLL, "membership")))
    elif fault.kind == ADD:
        yield _addition(fault, view)
    elif fault.kind == DROP:
        links = sorted(_all_links(status, excluded))
        yield Aim((), tuple(sorted(rng.sample(links, min(len(links), rng.randint(1, 3))))))
    elif fault.kind == "hunt":
        yield Aim(slots=frozenset(("hunt",)))
    elif fault.kind == "clock" and (why := _unsteady(fault.words, view)):
        yield why
    else:
        yield from _nodes(fault, view, excluded, rng)


# -- nodes ---------------------------------------------------------------------------------------


def _nodes(
    fault: Fault, view: View, excluded: frozenset[NodeId], rng: Random
) -> Iterator[Aim | str]:
    status = view.status
    there = [node for node in _members(status) if node.id not in excluded]
    there = [node for node in there if f"leaving n{node.id}" not in view.taken]
    if fault.kind in (REMOVE, RECONFIGURE):
        struck = {node for one in view.in_force for node in one.nodes}
        there = [node for node in there if node.id not in struck]  # or its fault could not end
    if fault.kind != REMOVE:
        there = [node for node in there if node.state == "up"]
    leader = status.leader
    if fault.target == LEADER and leader is None:
        yield "there is no leader now"
        return
    if fault.target == LEADER:
        there = [node for node in there if node.id == leader]
    elif fault.target == FOLLOWER:
        there = [node for node in there if node.id != leader]
    ids = [node.id for node in there]
    rng.shuffle(ids)
    if fault.target == ALL:
        chosen: tuple[NodeId, ...] = ()
        for node in ids:
            if _refusal(_at(fault, (*chosen, node), view), view) is None:
                chosen = (*chosen, node)
        if chosen:
            yield _at(fault, tuple(sorted(chosen)), view)
            return
    if fault.kind in (REMOVE, RECONFIGURE) and (why := _too_few(fault, view)):
        yield why
        return
    for node in ids:
        yield _at(fault, (node,), view)


def _at(fault: Fault, nodes: tuple[NodeId, ...], view: View) -> Aim:
    """The aim of a fault that strikes these nodes."""
    kind, out = fault.kind, frozenset(nodes)
    if kind in LINK_KINDS:
        links = _links_of(kind, nodes, view.status)
        change = link_change(kind, fault.words)
        return _over(links, change, view, nodes)
    if kind in _TAKES_NOTHING:
        what = {"slow-disk": "disk", "clock": "clock"}.get(kind, kind)
        return Aim(nodes, slots=frozenset(f"{what} n{node}" for node in nodes))
    slots: set[str] = set()
    halves: tuple[tuple[NodeId, ...], ...] = ()
    if kind in _ENDS_PROCESS:
        slots |= {f"process n{node}" for node in nodes}
    if kind in DISK_KINDS:
        slots |= {f"disk n{node}" for node in nodes}
    if kind == THROTTLE:
        slots |= {f"throttle n{node}" for node in nodes}
    if kind in (POINT, "ambush"):
        point, _ = point_and_action(fault.words)
        slots |= {f"{what} n{node}" for node in nodes for what in ("process", f"point {point}")}
    if kind in _CHANGES_MEMBERS:
        slots.add("membership")
        voters = _voters(view.status)
        left = tuple(voter for voter in voters if voter not in out)
        halves = (left,)
        if kind == RECONFIGURE:
            halves = ((*voters, SOMEBODY_NEW), (*left, SOMEBODY_NEW))
        if kind in (REMOVE, RECONFIGURE):
            slots |= {f"leaving n{node}" for node in nodes}
            out = frozenset()
    return Aim(nodes, (), Effect(out, halves=halves), frozenset(slots))


def _addition(fault: Fault, view: View) -> Aim | str:
    count = ADDITIONS[fault.words]
    most = min(view.began_with + MOST_NODES_MORE, MAX_NODES)
    if len(view.status.nodes) + count > most:
        return f"there are {len(view.status.nodes)} nodes, and at most {most} are wanted"
    voters = _voters(view.status)
    # Several new ones cannot all be the same stranger; ids below 0 are nobody's either.
    strangers = tuple(-number for number in range(count))
    halves = tuple((*voters, *strangers[:some]) for some in range(1, count + 1))
    out = frozenset(strangers)
    return Aim((), (), Effect(out, halves=halves), frozenset(("membership",)))


def _too_few(fault: Fault, view: View) -> str:
    left = len(_voters(view.status)) - (fault.kind == REMOVE)
    least = max(LEAST_NODES, view.began_with - 1)
    return "" if left >= least else f"{left} nodes would be left, and at least {least} are wanted"


# -- links ---------------------------------------------------------------------------------------


def _links_of(kind: str, nodes: Iterable[NodeId], status: ClusterStatus) -> frozenset[Link]:
    everybody = [node.id for node in status.nodes]
    chosen = tuple(nodes)
    sends, hears = links_between(chosen, everybody), links_between(everybody, chosen)
    if kind == "deafen":
        return hears - sends
    return sends - hears if kind == "mute" else sends | hears


def _partitions(
    fault: Fault, view: View, excluded: frozenset[NodeId], rng: Random
) -> Iterator[Aim]:
    status = view.status
    ids = [node.id for node in status.nodes]
    for _ in range(_TRIES):
        count = GROUPINGS.get(fault.words)
        if count is None:
            split = partitions.parse(fault.words, status, rng)
            groups: list[list[NodeId]] = split.groups
            cuts = split.cuts
        else:
            rng.shuffle(ids)
            walls = sorted(rng.sample(range(1, len(ids)), min(len(ids) - 1, count - 1)))
            ends = zip([0, *walls], [*walls, len(ids)], strict=True)
            groups = [sorted(ids[first:last]) for first, last in ends]
            cuts = partition(groups)
        links = frozenset((cut.source, cut.target) for cut in cuts)
        spared = frozenset(link for link in links if excluded.isdisjoint(link))
        distinct = sum(map(len, groups)) == len(status.nodes)
        slots = frozenset(("partition", *(f"link {link_name(link)} cut" for link in links)))
        if distinct and spared == links and slots.isdisjoint(view.taken):
            spec = "|".join(",".join(map(str, group)) for group in groups)
            yield Aim((), tuple(sorted(links)), Effect(cut=links), slots, spec)
        else:
            yield _over(spared, LinkChange(cut=True), view)


def _link_sets(fault: Fault, view: View, excluded: frozenset[NodeId], rng: Random) -> Iterator[Aim]:
    links = sorted(_all_links(view.status, excluded))
    change = link_change(fault.kind, fault.words)
    if fault.kind != "cut":
        yield _over(frozenset(links), change, view)
        return
    share = share_of_links(fault.words)
    for _ in range(_TRIES):
        yield _over(frozenset(link for link in links if rng.random() < share), change, view)


def _over(
    links: frozenset[Link], change: LinkChange, view: View, nodes: tuple[NodeId, ...] = ()
) -> Aim:
    """The aim of a fault that has these links do this, where no other fault of this run does."""
    taken = view.taken
    slots = {
        link: {f"link {link_name(link)} {part}" for part in ended_by(change)} for link in links
    }
    free = frozenset(link for link in links if taken.isdisjoint(slots[link]))
    if not free:
        return NOWHERE
    cut = links if breaks(change) else frozenset()
    return Aim(
        nodes,
        tuple(sorted(free)),
        Effect(cut=cut),
        frozenset(slot for link in free for slot in slots[link]),
    )


def _all_links(status: ClusterStatus, excluded: frozenset[NodeId]) -> frozenset[Link]:
    ids = [node.id for node in status.nodes if node.id not in excluded]
    return links_between(ids, ids)


# -- what stands against it ----------------------------------------------------------------------


def _refusal(candidate: Aim, view: View) -> str | None:
    """Why this must not be struck now; None when it may be."""
    if candidate == NOWHERE:
        return "no node or link is left that it could strike"
    if not view.beyond_quorum and (why := may(candidate.effect, view.state)):
        return why
    if both := sorted(candidate.slots & view.taken):
        return f"another fault of this run is there: {both[0]}"
    return _foreign(candidate, view) or None


def _foreign(candidate: Aim, view: View) -> str:
    """The fault of somebody else that this one would replace; empty when there is none."""
    ours = view.taken
    shown: dict[str, Callable[[NodeStatus], object]] = {
        "disk": lambda node: node.disk not in ("", "a write hangs"),
        "throttle": lambda node: node.throttle is not None,
        "clock": lambda node: node.clock,
        "point": lambda node: node.points,
    }
    for slot in sorted(candidate.slots):
        what, _, rest = slot.partition(" ")
        if what == "link":
            name, _, part = rest.partition(" ")
            theirs = slot not in ours and any(
                link_name((link.source, link.target)) == name and part in link.does
                for link in view.status.links
            )
        elif what in shown:
            node = int(slot.rpartition(" n")[2])
            mine = any(one.startswith(what) and one.endswith(f" n{node}") for one in ours)
            theirs = not mine and bool(shown[what](view.status.node(node)))
        else:
            continue
        if theirs:
            return f"somebody else's fault is there: {slot}"
    return ""


def _is_changing(status: ClusterStatus) -> str:
    membership = status.membership
    if membership is None or membership.outgoing or membership.target != membership.voters:
        return "the membership is changing"
    if any(node.change for node in status.nodes):
        return "the membership is changing"
    return ""


def _unsteady(words: str, view: View) -> str:
    change = clock_change(words)
    least, most = STEADY_RATES
    if not view.leases or change.wall or (change.word == "rate" and least <= change.rate <= most):
        return ""
    return "leases assume steady clocks"


def _excluded(view: View, rng: Random) -> frozenset[NodeId]:
    """The nodes that are never struck; none for a word that means nobody now."""
    found: set[NodeId] = set()
    for word in view.exclude:
        with suppress(LauncherError):  # a leader that there is not now; a node that was removed
            found.update(resolve([word], view.status, "link", rng))
    return frozenset(found)


def _members(status: ClusterStatus) -> Sequence[NodeStatus]:
    return [node for node in status.nodes if status.is_member(node.id)]


def _voters(status: ClusterStatus) -> tuple[NodeId, ...]:
    return () if status.membership is None else tuple(status.membership.voters)


def where(struck: Aim) -> str:
    """Whom it strikes, for people: `n2`, `n1>n2, n1>n3`, or how many links; empty: nobody."""
    if struck.nodes:
        return node_names(struck.nodes)
    if struck.spec:
        return struck.spec
    links = struck.links
    return ", ".join(map(link_name, links)) if len(links) <= 4 else f"{len(links)} links"
