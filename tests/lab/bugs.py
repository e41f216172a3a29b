"""Twelve bugs in real processes, one of each kind, and the command that finds each.

Most edits are those of the simulated world (`launcher/simulation/planted`), by their keys there.
What it takes to find one is its command: a seed, which decides the cluster's settings and its
faults, and the kinds of faults to which the search is narrowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.simulation.planted import Planted, named
from launcher.simulation.planted.form import edited
from node.raft import lease
from node.server.server import Server


@dataclass(frozen=True)
class Bug:
    """One bug.

    name: short, for the command line
    kind: in plain words
    planted: the edits that are made together
    command: the arguments of `launcher` that find it within about a minute
    """

    name: str
    kind: str
    planted: tuple[Planted, ...]
    command: str


VOTE_FORGOTTEN = Planted(
    key="vote-forgotten-at-restart",
    name="a server that starts again has forgotten its vote",
    pitfall="",
    story="The term is read from the log, and the vote is not. The server votes a second time.",
    target=Server,
    attribute="__init__",
    plant=edited(
        (
            "hard_state=recovered.hard_state,",
            "hard_state=type(recovered.hard_state)(recovered.hard_state.current_term),",
        )
    ),
    expected=(),
    within=0,
)

LEASE_BY_A_SLOW_CLOCK = Planted(
    key="lease-by-a-slow-clock",
    name="a lease is measured by a clock that runs at a quarter of the speed of the others",
    pitfall="",
    story="The voters' promise is over long before the leader takes its lease to be over. Another "
    "leader is elected, and this one answers reads with old values.",
    target=lease,
    attribute="is_held",
    plant=edited(
        (
            "raft.now < raft.lease.since + lasts_s",
            "(raft.now - raft.lease.since) / 4 < lasts_s",
        )
    ),
    expected=(),
    within=0,
)

BUGS = (
    Bug(
        "early-acknowledgement",
        "an entry is acknowledged before a quorum has it on disk",
        (named("one-disk-too-few"),),
        "test --seed 3 --time 10s --nodes 3 --faults isolate,partition,kill --interval 1s",
    ),
    Bug(
        "forgotten-vote",
        "a vote is forgotten at a restart",
        (VOTE_FORGOTTEN,),
        "test --seed 3 --time 10s --faults kill --interval 1s",
    ),
    Bug(
        "stale-read",
        "a read is answered with an old value",
        (named("read-from-any-node"),),
        "test --seed 3 --time 15s --faults partition,isolate,mute,deafen --interval 1s",
    ),
    Bug(
        "older-term",
        "an entry of an earlier term is committed by counting replicas",
        (named("count-earlier-terms"),),
        "test --seed 4 --time 20s --faults slow-disk,hunt,transfer --interval 1s --number 2 "
        "--rate 500",
    ),
    Bug(
        "double-apply",
        "a retry is applied a second time",
        (named("retry-applied-again"),),
        "test --seed 3 --time 15s --faults kill,isolate,hunt --interval 1s",
    ),
    Bug(
        "lost-tail",
        "a late message truncates what was acknowledged",
        (named("late-append-truncates"),),
        "test --seed 4 --time 15s --faults reorder,flaky,slow-link --interval 1s --rate 500",
    ),
    Bug(
        "old-snapshot",
        "a node that restores a snapshot is back before what it stands for",
        (named("snapshot-claims-one-more"),),
        "test --seed 7 --time 12s --faults kill,isolate --interval 1s",
    ),
    Bug(
        "long-lease",
        "a lease is measured by a clock that runs slow",
        (LEASE_BY_A_SLOW_CLOCK,),
        "test --seed 12 --time 20s --faults isolate,partition --interval 1s --keys 2 --rate 400 "
        "--mix read=60,write=40",
    ),
    Bug(
        "lost-on-power",
        "what was acknowledged is lost when the power fails",
        (named("append-not-synced"),),
        "test --seed 3 --time 10s --faults power,blackout --interval 1s",
    ),
    Bug(
        "forgotten-data",
        "a member that has lost its data takes part as if it had never had any",
        (named("empty-folder-begins"),),
        "test --seed 3 --time 10s --faults wipe --interval 2s",
    ),
    Bug(
        "joint-quorum",
        "a joint quorum is counted without the old voters",
        (named("joint-without-old-voters"),),
        "test --seed 4 --time 15s --nodes 4 --faults remove,add --interval 1s",
    ),
    Bug(
        "own-answers",
        "a machine answers by what its own process has seen",
        (named("answer-depends-on-process"),),
        "test --seed 3 --time 10s --faults kill",
    ),
)


def bug_named(name: str) -> Bug | None:
    """The bug of this name."""
    return next((bug for bug in BUGS if bug.name == name), None)
