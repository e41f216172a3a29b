"""Bugs in what is done to a cluster from outside: an operator that harms it."""

from __future__ import annotations

from launcher.control.status import ClusterStatus
from launcher.supervisor import rolling
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import AVAILABILITY

BUGS = [
    Planted(
        name="a rolling restart counts a joint configuration as one set",
        pitfall="Raft itself 8, Found in the field 8",
        story="Most of all voters are left, and one half has lost its majority.",
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
        name="a rolling restart counts on nodes that follow nobody",
        pitfall="",
        story="They are up and cut off, and the leader is left alone.",
        target=rolling,
        attribute="objection",
        plant=edited(("if not status.has_quorum(followers):", "if False:")),
        expected=(AVAILABILITY,),
        within=20,
        options={"faults": ("partition", "isolate", "roll")},
    ),
]
