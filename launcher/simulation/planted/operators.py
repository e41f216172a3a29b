"""Bugs in what is done to a cluster from outside: an operator that harms it."""

from __future__ import annotations

from launcher.control.status import ClusterStatus
from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    AVAILABILITY,
)
from launcher.supervisor import rolling

BUGS = [
    Planted(
        key="rolling-counts-joint-as-one",
        name="a rolling restart counts a joint configuration as one set",
        pitfall="Raft itself 8, Found in the field 8",
        shows=AVAILABILITY,
        story="A majority of all voters is left, and one half of the joint configuration has lost "
        "its majority.",
        target=ClusterStatus,
        attribute="has_quorum",
        plant=edited(
            (
                "Configuration(self.membership)",
                "Configuration(stable({*self.membership.voters, *self.membership.outgoing}))",
            )
        ),
        expected=(AVAILABILITY,),
        within=60,
        options={"faults": ("reconfigure", "roll")},
    ),
    Planted(
        key="rolling-counts-lost-nodes",
        name="a rolling restart counts on nodes that follow nobody",
        pitfall="",
        shows=AVAILABILITY,
        story="These nodes are up and cut off, and the leader is left alone.",
        target=rolling,
        attribute="objection",
        plant=edited(("if not status.has_quorum(followers):", "if False:")),
        expected=(AVAILABILITY,),
        within=20,
        options={"faults": ("partition", "isolate", "roll")},
    ),
]
