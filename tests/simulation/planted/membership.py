"""Bugs in membership changes (§6): two majorities, lost configurations, leaders that stay."""

from __future__ import annotations

from launcher.supervisor import changes
from node.raft import reconfiguration, replication
from node.raft import snapshot as core
from node.raft.membership import Configuration
from node.raft.raft import Raft
from node.raft.state import RaftState
from node.server.server import Server
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    CONSISTENT,
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    LINEARIZABILITY,
    LIVENESS,
    LOSS,
    PROMISES,
    RECONCILED,
)

CHANGES = {"faults": ("partition", "isolate", "cut", "kill", "pause", "hunt", "reconfigure")}
COME_AND_GO = {"nodes": 3, "faults": ("add", "remove", "supervisor")}
REBUILDS = {"faults": ("kill", "isolate", "flip-bit", "rebuild")}

BUGS = [
    Planted(
        name="the joint quorum forgets the old voters",
        pitfall="Raft itself 8, Found in the field 8",
        story="The new voters decide alone while the old ones may still do so too.",
        target=Configuration,
        attribute="__init__",
        plant=edited(
            ("(membership.voters, membership.outgoing) if half", "(membership.voters,) if half")
        ),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=10,
        options={"faults": ("isolate", "kill", "reconfigure"), "nodes": 4},
    ),
    Planted(
        name="a change begins before the last one is committed",
        pitfall="Raft itself 8, Found in the field 8",
        story="Two changes in flight: from the first to the second no two majorities need to meet.",
        target=reconfiguration,
        attribute="next_stage",
        plant=edited(("index > raft.commit_index", "False")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options={**CHANGES, "time_s": 60.0},
    ),
    Planted(
        name="a configuration that was truncated stays in force",
        pitfall="Found in the field 8",
        story="The server goes by voters that nobody has agreed on.",
        target=reconfiguration,
        attribute="fall_back",
        plant=edited(("configurations[-1][0] < truncated", "True")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=20,
        options={"faults": ("hunt", "reconfigure")},
    ),
    Planted(
        name="a configuration is in force only when it is committed",
        pitfall="Found in the field 8",
        story="Followers go by the old one while the leader already counts by the new.",
        target=replication,
        attribute="_splice",
        plant=edited(("    reconfiguration.adopt(raft, missing)\n", "")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options=CHANGES,
    ),
    Planted(
        name="a removed leader goes on leading",
        pitfall="Raft itself 9",
        story="It commits with the votes of others for as long as it lives.",
        target=reconfiguration,
        attribute="has_removed_us",
        plant=edited(
            ("raft.configurations[-1][0] <= raft.commit_index and not raft.is_voter", "False")
        ),
        expected=(LIVENESS, CRASH),
        within=60,
        options=CHANGES,
    ),
    Planted(
        name="a server that learns refuses its vote",
        pitfall="Found in the field 8",
        story="It may be a voter by an entry that has not come here yet, and its vote is missing.",
        target=Raft,
        attribute="step",
        plant=edited(
            (
                "    if sender == raft.node_id:\n        return\n",
                (
                    "    if sender == raft.node_id:\n        return\n"
                    "    if isinstance(message, RequestVote) and not raft.may_campaign:\n"
                    "        return\n"
                ),
            )
        ),
        expected=(LIVENESS,),
        within=60,
        options=CHANGES,
    ),
    Planted(
        name="a server starts with the members of its beginning",
        pitfall="Found in the field 8",
        story="What its log says of the membership is not looked at when it starts.",
        target=Raft,
        attribute="__init__",
        plant=edited(("    reconfiguration.adopt(self.state, batches)\n", "")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options=CHANGES,
    ),
    Planted(
        name="a snapshot does not bring the membership",
        pitfall="Found in the field 10",
        story="Who installs it goes by the members that it knew before.",
        target=core,
        attribute="received",
        plant=edited(
            (
                "snapshot.last_included_index, snapshot.membership)",
                "snapshot.last_included_index, raft.configuration.membership)",
            )
        ),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=10,
        options={"faults": ("isolate", "snapshot", "reconfigure")},
    ),
    Planted(
        name="a learner's disk counts",
        pitfall="Found in the field 7, Found in the field 8",
        story="Whoever gets the log is counted, whether it votes or not.",
        target=Configuration,
        attribute="quorum_value",
        plant=edited(("for half in self._halves", "for half in (self.everybody,)")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS, CRASH),
        within=60,
        options=CHANGES,
    ),
    Planted(
        name="a server without a configuration campaigns",
        pitfall="Raft itself 9",
        story="A learner, or one that has been removed, asks for votes.",
        target=RaftState,
        attribute="may_campaign",
        plant=lambda original: property(lambda self: True),
        expected=(CONSISTENT, LIVENESS, CRASH, ELECTION_SAFETY, PROMISES, DURABILITY),
        within=10,
        options=CHANGES,
    ),
    Planted(
        name="what a snapshot says of the membership is what the log's end says",
        pitfall="Found in the field 10",
        story="It is of a configuration that may yet be truncated.",
        target=Server,
        attribute="_take_snapshot",
        plant=edited(
            (
                "applying.membership,\n",
                "self._raft.state.configuration.membership,\n",
            )
        ),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=10,
        options={"faults": ("ambush", "snapshot", "reconfigure")},
    ),
    Planted(
        name="a node is rebuilt without being set aside first",
        pitfall="Found in the field 1",
        story="It loses its data and learns it anew as the voter that it is: what it has voted and "
        "acknowledged is forgotten, and counts.",
        target=changes,
        attribute="_rebuilding",
        plant=edited(('    yield Voters("been set aside", leave=(node,))\n', "")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=REBUILDS,
    ),
    Planted(
        name="a node loses its data before it is set aside for good",
        pitfall="Found in the field 8",
        story="That the leader goes by another configuration is enough. It may yet be truncated, "
        "and until then the other one decides as well.",
        target=changes,
        attribute="standing",
        plant=edited((" and leader.membership_committed", "")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=60,
        options=REBUILDS,
    ),
    Planted(
        name="a node that is rebuilt is not told what was committed",
        pitfall="Found in the field 1",
        story="It votes for, and follows, whoever has not heard that it was set aside, and by "
        "whose configuration it counts.",
        target=changes,
        attribute="floor_of",
        plant=edited(("Floor(leader.commit_term, leader.commit_index)", "Floor()")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=60,
        options={"faults": ("rebuild", "reconfigure", "isolate")},
    ),
    Planted(
        name="a node that is rebuilt loses its data when it votes again",
        pitfall="Found in the field 1",
        story="It is set aside and taken back in one go, and only then its data is removed: a "
        "voter without the log that it has acknowledged.",
        target=changes,
        attribute="_rebuilding",
        plant=edited(
            (
                "    yield Act(Deed.STOP, node)\n",
                '    yield Voters("caught up", join=(node,))\n    yield Act(Deed.STOP, node)\n',
            ),
            (
                '    yield Act(Deed.START, node)\n    yield Voters("caught up", join=(node,))\n',
                "    yield Act(Deed.START, node)\n",
            ),
        ),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=REBUILDS,
    ),
    Planted(
        name="a candidate that a snapshot leaves out keeps campaigning",
        pitfall="",
        story="The snapshot was at its disk when it had its timeout. Nobody that it may be elected "
        "by is left.",
        target=reconfiguration,
        attribute="_end_campaign_of_non_voter",
        plant=edited(("raft.role is CANDIDATE", "False")),
        expected=(CONSISTENT,),
        within=60,
        options={"faults": ("hang-disk", "slow-disk", "reconfigure", "partition", "kill")},
    ),
    Planted(
        name="a node that is back has what it acknowledged before it was removed",
        pitfall="Found in the field 1",
        story="A node is rebuilt, and an acknowledgement of its former life comes when it learns "
        "again: the leader believes that it has what it has forgotten, and hears no refusal.",
        target=reconfiguration,
        attribute="_track_peers",
        plant=edited((", first_round=raft.round + 1", "")),
        expected=(LIVENESS, PROMISES, *LOSS),
        within=60,
        options={"faults": ("rebuild", "slow-link", "reorder")},
    ),
    Planted(
        name="a node is taken off the record while it votes",
        pitfall="",
        story="It is stopped and its data removed before any leader is asked to remove it: a voter "
        "that is gone, and that nobody ever replaces.",
        target=changes,
        attribute="_removing",
        plant=edited(('    yield Voters("been removed", leave=tuple(nodes))\n', "")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=10,
        options=COME_AND_GO,
    ),
    Planted(
        name="a node has left as soon as the leader uses a configuration without it",
        pitfall="Found in the field 8",
        story="They are not committed, and another leader may go by the ones before.",
        target=changes,
        attribute="standing",
        plant=edited((" and leader.membership_committed and _is_sure(leader)", "")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=60,
        options={"nodes": 3, "faults": ("add", "remove", "supervisor", "hunt", "isolate")},
    ),
    Planted(
        name="what a leader says of the voters counts before it knows what is committed",
        pitfall="Found in the field 8",
        story="An entry that names a node stands in the log of a server that may yet lead. The "
        "node is taken off the record, and then made a voter.",
        target=changes,
        attribute="_is_sure",
        plant=edited(("leader.commit_term == leader.term", "True")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=60,
        options={"nodes": 3, "faults": ("add", "supervisor", "power")},
    ),
    Planted(
        name="a change that was broken off is left as it is",
        pitfall="",
        story="A supervisor that starts does not look at what was begun. A node stays without a "
        "vote, or on record without its data.",
        target=changes,
        attribute="verdict",
        plant=edited(
            (
                "        return Verdict.FINISH\n    if leader",
                "        return Verdict.WAIT\n    if leader",
            )
        ),
        expected=(LIVENESS, RECONCILED),
        within=10,
        options=COME_AND_GO,
    ),
    Planted(
        name="the nodes of an add that is given up in part are forgotten",
        pitfall="",
        story="Of two new nodes one is removed. The other one is on record, and never votes.",
        target=changes,
        attribute="superseded",
        plant=edited(("    if rest:\n", "    if False:\n")),
        expected=(RECONCILED,),
        within=60,
        options=COME_AND_GO,
    ),
]
