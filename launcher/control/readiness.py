"""Waiting for a cluster: until something holds, until it serves, and what is not well with it then.

Blocks, and asks for the status again and again. What a status means is decided here without I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from launcher.control.status import TO_BE_RESTARTED, ClusterStatus, counted
from launcher.errors import LauncherError, TimedOut
from node.raft.messages import NodeId

PATIENCE_S = 1.0
"""How long `up` waits for the rest of the nodes once a quorum serves."""

_POLL_S = 0.02

Ask: TypeAlias = Callable[[], tuple[ClusterStatus, list[NodeId]]]
"""Returns the status, and the nodes that are about to come up by themselves."""


@dataclass(frozen=True)
class Remark:
    """What is not well with one node. passes: waiting may mend it"""

    text: str
    passes: bool


def goal(
    *, leader: bool, commit: int | None, converged: bool
) -> tuple[Callable[[ClusterStatus], bool], str]:
    """Whether all of it is so in a status, and what there was not when it never was, for `wait`.

    What is asked of a status raises LauncherError when nodes are to converge and have diverged.
    """
    wanted = []
    if commit is not None:
        wanted.append(f"index {commit} was not committed")
    if converged:
        wanted.append("not every member got and applied the whole log")
    if leader or not wanted:
        wanted.insert(0, "no leader")

    def reached(status: ClusterStatus) -> bool:
        if converged:
            check_alike(status)
        return (
            (not leader or status.settled)
            and (commit is None or status.commit_index >= commit)
            and (not converged or status.converged)
        )

    return reached, " and ".join(wanted)


def wait(
    ask: Ask, reached: Callable[[ClusterStatus], bool], what: str, timeout_s: float
) -> ClusterStatus:
    """Waits until it is reached; returns the status in which it was.

    what: what to report when it is not reached, as in "no leader"

    Raises TimedOut, and LauncherError as soon as too few nodes are up and about to come up.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        status, restarting = ask()
        if reached(status):
            return status
        _check_possible(status, restarting, what)
        if time.monotonic() > deadline:
            raise _late(status, what, timeout_s)
        time.sleep(_POLL_S)


def wait_until_up(
    ask: Ask, timeout_s: float, patience: float = 1.0
) -> tuple[ClusterStatus, list[str]]:
    """Waits until a quorum serves, and then at most `PATIENCE_S` longer until all nodes are well.

    patience: how many times as long, for a cluster whose timers are slow

    Returns the status, and what is not well, one line for each such node. Raises as `wait` does
    when no quorum comes to serve.
    """
    deadline = time.monotonic() + timeout_s
    patience_ends = None
    while True:
        status, restarting = ask()
        now = time.monotonic()
        if status.served:
            if patience_ends is None:
                patience_ends = min(deadline, now + PATIENCE_S * patience)
            found = list(remarks(status, restarting))
            if now >= patience_ends or not any(remark.passes for remark in found):
                return status, [remark.text for remark in found]
        else:
            patience_ends = None
            _check_possible(status, restarting, "no leader")
            if now > deadline:
                raise _late(status, "no leader", timeout_s)
        time.sleep(_POLL_S)


def wait_started(ask: Ask, ids: Iterable[NodeId], patience_s: float) -> None:
    """Waits until nodes that have just been started have applied what the leader's log holds.

    A node answers before it has applied its log. One whose machine fails on an entry dies then, a
    moment after it was started. It is not waited for longer than `patience_s`, nor where no quorum
    is up: then nothing is committed that they could fail on.

    Raises LauncherError when one of them has ended meanwhile, and nobody has asked for that.
    """
    started = set(ids)
    deadline = time.monotonic() + patience_s
    status, restarting = ask()
    goal = None
    while True:
        there = [node for node in status.nodes if node.id in started]  # one may be removed by now
        ended = [
            f"n{node.id} ended a moment after it was started: {node.reason}"
            for node in there
            if node.state == "failed" or node.reason.startswith(TO_BE_RESTARTED)
        ]
        if ended:
            raise LauncherError("; ".join(ended))
        if goal is None and status.served and status.leader is not None:
            goal = status.node(status.leader).last_index  # with the no-op that begins its term
        if goal is not None and all(
            node.applied_index >= goal
            for node in there
            if node.running and status.is_member(node.id)
        ):
            return
        coming = {node.id for node in status.up} | set(restarting)
        if time.monotonic() >= deadline or not status.may_become_quorum(coming):
            return
        time.sleep(_POLL_S)
        status, restarting = ask()


def remarks(status: ClusterStatus, restarting: list[NodeId]) -> Iterator[Remark]:
    """What is not well with the nodes of a cluster that serves, at most one remark for each.

    restarting: the nodes that are about to come up by themselves
    """
    followers = set(status.followers)
    for node in status.nodes:
        if node.state != "up":
            why = "; ".join(filter(None, (node.reason, node.change)))
            passes = node.id in restarting or bool(node.change)
            yield Remark(f"n{node.id} is {node.state}" + (f": {why}" if why else ""), passes)
        elif node.hangs:
            yield Remark(f"n{node.id} is not responding for {node.last_answer_s:.0f} s", True)
        elif node.diverged is not None:
            yield Remark(f"n{node.id} has {node.diverged}", False)
        elif node.role is None:
            yield Remark(f"n{node.id} was started and has not answered yet", True)
        elif node.change:
            yield Remark(f"n{node.id}: {node.change}", True)
        elif not status.is_member(node.id):
            ways = f"`launcher rebuild {node.id}` or `launcher remove {node.id}` ends that"
            yield Remark(f"n{node.id} runs and is not a member of the cluster: {ways}", False)
        elif not status.may_vote(node.id):
            yield Remark(f"n{node.id} learns and does not vote yet", True)
        elif node.id not in followers:
            yield Remark(f"n{node.id} does not follow the leader n{status.leader} yet", True)


def check_alike(status: ClusterStatus) -> None:
    """Raises LauncherError when nodes' machines differ: they never come to have the same state."""
    found = [f"n{node.id} has {node.diverged}" for node in status.diverged]
    if found:
        raise LauncherError("; ".join(found))


def _check_possible(status: ClusterStatus, restarting: list[NodeId], what: str) -> None:
    """Raises LauncherError when too few nodes are up and about to come up.

    A node that is about to come up and is no member, as far as is known, may know better: then
    nothing is certain yet.
    """
    if status.frozen:
        raise LauncherError(status.frozen_because)
    coming = {node.id for node in status.up} | set(restarting)
    if coming.issuperset(node.id for node in status.nodes):
        return  # nobody is missing: who votes is then known from before a change
    if status.membership is None:
        if coming:
            return
        said = "no node is up"
    else:
        strangers = [node for node in restarting if not status.is_member(node)]
        if strangers or status.may_become_quorum(coming):
            return
        said = counted(status.membership, coming, "are up")
    raise LauncherError(f"{what}: {said}; {status.missing()}")


def _late(status: ClusterStatus, what: str, timeout_s: float) -> TimedOut:
    reasons = "; ".join(filter(None, (status.missing(), _behind(status))))
    return TimedOut(f"{what} in {timeout_s:g} s" + (f"; {reasons}" if reasons else ""))


def _behind(status: ClusterStatus) -> str:
    """The members that are up and have not applied the leader's whole log, while there is one."""
    if status.leader is None:
        return ""
    last = status.node(status.leader).last_index
    members = [node for node in status.up if status.is_member(node.id) and not node.hangs]
    return ", ".join(
        f"n{node.id} has applied {node.applied_index} of {last} entries"
        for node in members
        if node.applied_index < last
    )
