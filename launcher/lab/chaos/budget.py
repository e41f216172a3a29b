"""How much may be broken at once: does a majority remain that can go on? Pure.

Raft goes on as long as a majority of the voters works, of both halves while a configuration is
joint (§5, §6). So at every moment there must be nodes that

- are a majority of every set of voters that counts,
- are up, and neither paused, throttled nor being rebuilt,
- have disks that work,
- and reach each other, each one every other, in both directions.

The last is more than Raft needs: a leader in the middle of a star would do. It is what a user means
by a majority that is connected, and it leaves out the shapes in which a leader exists by luck.

What takes a little away does not count: a disk that is slow by at most `MOST_SYNC_DELAY_S`, a link
that is late by at most `MOST_DELAY_S`, loses at most `MOST_LOSS`, and carries at least
`LEAST_RATE`. Anything more, and the node or the link counts as not there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from launcher.control.links import LinkChange, parse_change
from launcher.control.naming import Link, link_name, node_names
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import UsageError
from node.quantities import parse_duration_s
from node.raft.membership import majority
from node.raft.messages import Membership, NodeId

MOST_SYNC_DELAY_S = 0.15
MOST_DELAY_S = 0.1
MOST_LOSS = 0.3
LEAST_RATE = 1e6
"""Bits per second."""

SOMEBODY_NEW = 0
"""The id that stands for a node that is being added and has none yet. It never counts as there."""


class Effect(msgspec.Struct, frozen=True):
    """What something takes away.

    out: nodes that do nothing useful
    cut: links over which nothing useful gets
    halves: sets of voters that come to count beside those in force
    next_out: any one of these may be taken down at any moment, as in a rolling restart
    """

    out: frozenset[NodeId] = frozenset()
    cut: frozenset[Link] = frozenset()
    halves: tuple[tuple[NodeId, ...], ...] = ()
    next_out: frozenset[NodeId] = frozenset()

    def __or__(self, other: Effect) -> Effect:
        return Effect(
            self.out | other.out,
            self.cut | other.cut,
            (*self.halves, *other.halves),
            self.next_out | other.next_out,
        )


NOTHING = Effect()


class State(msgspec.Struct, frozen=True):
    """What counts of a cluster at one moment.

    halves: the sets of voters that each need a majority; none: nobody knows who votes
    out, cut, next_out: as in `Effect`
    """

    halves: tuple[tuple[NodeId, ...], ...]
    out: frozenset[NodeId] = frozenset()
    cut: frozenset[Link] = frozenset()
    next_out: frozenset[NodeId] = frozenset()

    def after(self, effect: Effect) -> State:
        """The state when this has been taken away, too."""
        return State(
            tuple(dict.fromkeys((*self.halves, *effect.halves))),
            self.out | effect.out,
            self.cut | effect.cut,
            self.next_out | effect.next_out,
        )


# -- the question --------------------------------------------------------------------------------


def holds(state: State) -> bool:
    """Whether a majority of every half works, and would without any one of `next_out`."""
    if not state.halves or not all(state.halves):
        return False
    return all(
        _remains(_working(state) - {gone}, state)
        for gone in (SOMEBODY_NEW, *sorted(state.next_out - state.out))
    )


def may(effect: Effect, state: State) -> str | None:
    """Why this must not be taken away now; None when it may be."""
    if not state.halves:
        return "nobody knows who votes"
    if holds(state.after(effect)):
        return None
    if not holds(state):
        return f"no majority could spare anything: {describe(state)}"
    return f"no majority would remain: {describe(state.after(effect))}"


def describe(state: State) -> str:
    """What is missing, in a few words: `n1 is out, n2>n3 is cut`."""
    voters = {voter for half in state.halves for voter in half}
    said = []
    if out := sorted(node for node in state.out & voters if node > SOMEBODY_NEW):
        said.append(f"{node_names(out)} {'is' if len(out) == 1 else 'are'} out")
    links = sorted(link for link in state.cut if not state.out & set(link))
    if links:
        shown = ", ".join(map(link_name, links[:6])) + (", ..." if len(links) > 6 else "")
        said.append(f"{shown} {'is' if len(links) == 1 else 'are'} cut")
    if state.next_out:
        said.append("a rolling restart is under way")
    if len(state.halves) > 1:
        said.append("the membership is changing")
    return ", ".join(said) or "every node works"


def _working(state: State) -> frozenset[NodeId]:
    voters = {voter for half in state.halves for voter in half}
    return frozenset(voters - state.out - {SOMEBODY_NEW})


def _remains(nodes: frozenset[NodeId], state: State) -> bool:
    """Whether some of these nodes all reach each other and are a majority of each half.

    One of two nodes that do not reach each other is not among them. So the node with the most of
    such links either goes, or stays, and then all those go that it does not reach. As soon as too
    few are left, no more need go: the search goes no deeper than a minority is large.
    """
    if not all(sum(voter in nodes for voter in half) >= majority(half) for half in state.halves):
        return False
    apart: dict[NodeId, set[NodeId]] = {}
    for one, other in state.cut:
        if one in nodes and other in nodes:
            apart.setdefault(one, set()).add(other)
            apart.setdefault(other, set()).add(one)
    if not apart:
        return True
    worst = max(sorted(apart), key=lambda node: len(apart[node]))
    return _remains(nodes - {worst}, state) or _remains(nodes - apart[worst], state)


# -- from what a cluster says of itself ----------------------------------------------------------


def state_of(status: ClusterStatus, *, strict: bool = True) -> State:
    """The state, by what `ps` shows.

    strict: a node that has not answered yet, or does not answer any more, is out; and so is one
        that differs from the others. Otherwise only what is certain counts: that it does not run,
        is paused or throttled, or has a disk that does not work
    """
    out = {node.id for node in status.nodes if is_out(node)}
    if strict:
        out |= {node.id for node in status.nodes if node.hangs or node.role is None}
        out |= {node.id for node in status.diverged}
        out |= {node.id for node in status.nodes if not node.responding}
    if status.frozen:
        out |= {node.id for node in status.nodes}
    halves = () if status.membership is None else halves_of(status.membership, planned=strict)
    voters = {voter for half in halves for voter in half}
    out |= voters - {node.id for node in status.nodes}
    cut = {(link.source, link.target) for link in status.links if is_broken_link(link.does)}
    return State(halves, frozenset(out), frozenset(cut))


def halves_of(membership: Membership, *, planned: bool = False) -> tuple[tuple[NodeId, ...], ...]:
    """The sets of voters that each need a majority. planned: also of those that are to vote."""
    halves = [membership.voters, membership.outgoing]
    if planned:
        halves.append(membership.target)
    return tuple(dict.fromkeys(tuple(sorted(half)) for half in halves if half))


def is_out(node: NodeStatus) -> bool:
    """Whether the node does nothing useful, by what is certain of it."""
    cut_off = "cut off at the point" in node.points
    return node.state != "up" or node.throttle is not None or cut_off or not disk_works(node.disk)


def disk_works(ailment: str) -> bool:
    """Whether a disk works for our purpose, by what `ps` says of it: `slow-disk 200ms`."""
    for said in filter(None, ailment.split(", ")):
        kind, _, delay = said.partition(" ")
        if kind != "slow-disk":
            return False
        try:
            if parse_duration_s(delay) > MOST_SYNC_DELAY_S:
                return False
        except ValueError:
            return False
    return True


def is_broken_link(does: str) -> bool:
    """Whether nothing useful gets over a link, by what `ps` says of it: `delay 50ms, loss 5%`."""
    if does in ("", "ok"):
        return False
    try:
        return breaks(parse_change([does.replace(",", " ")]))
    except UsageError:
        return True


def breaks(change: LinkChange) -> bool:
    """Whether a link that does this counts as cut."""
    delay_s = sum(change.delay or ())
    return (
        change.cut
        or change.hold
        or delay_s > MOST_DELAY_S
        or (change.loss or 0.0) > MOST_LOSS
        or (change.rate is not None and 0 < change.rate < LEAST_RATE)
        or change.profile in ("3g", "wan3")
    )


def links_between(nodes: Iterable[NodeId], others: Iterable[NodeId]) -> frozenset[Link]:
    """The links from each of these nodes to each of the others."""
    there = tuple(others)
    return frozenset((one, other) for one in nodes for other in there if one != other)
