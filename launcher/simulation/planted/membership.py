"""Bugs in membership changes (§6): two majorities, lost configurations, leaders that stay."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
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
from launcher.supervisor import changes
from node.raft import reconfiguration, replication
from node.raft import snapshot as core
from node.raft.membership import Configuration
from node.raft.raft import Raft
from node.raft.state import RaftState
from node.server.server import Server

CHANGES = {"faults": ("partition", "isolate", "cut", "kill", "pause", "hunt", "reconfigure")}
COME_AND_GO = {"nodes": 3, "faults": ("add", "remove", "supervisor")}
REBUILDS = {"faults": ("kill", "isolate", "flip-bit", "rebuild")}

BUGS = [
    Planted(
        key="joint-without-old-voters",
        name="the joint quorum forgets the old voters",
        pitfall="Raft itself 8, Found in the field 8",
        shows=DURABILITY,
        story="The new voters decide alone, and the old ones may still do so, too.",
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
        key="two-changes-at-once",
        name="a change begins before the last one is committed",
        pitfall="Raft itself 8, Found in the field 8",
        shows=DURABILITY,
        story="With two changes under way, a majority of the first configuration and one of the "
        "last need not have a server in common.",
        target=reconfiguration,
        attribute="next_stage",
        plant=edited(("index > raft.commit_index", "False")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options={**CHANGES, "time_s": 60.0},
    ),
    Planted(
        key="truncated-configuration-in-force",
        name="a configuration that was truncated stays in force",
        pitfall="Found in the field 8",
        shows=CONSISTENT,
        story="The server uses voters that were never agreed on.",
        target=reconfiguration,
        attribute="fall_back",
        plant=edited(("configurations[-1][0] < truncated", "True")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=20,
        options={"faults": ("hunt", "reconfigure")},
    ),
    Planted(
        key="configuration-waits-for-commit",
        name="a configuration is in force only when it is committed",
        pitfall="Found in the field 8",
        shows=LIVENESS,
        story="Followers use the old configuration while the leader already counts by the new one.",
        target=replication,
        attribute="_splice",
        plant=edited(("    reconfiguration.adopt(raft, missing)\n", "")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options=CHANGES,
    ),
    Planted(
        key="removed-leader-leads-on",
        name="a removed leader goes on leading",
        pitfall="Raft itself 9",
        shows=LIVENESS,
        story="It commits with the votes of others for as long as it runs.",
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
        key="learner-refuses-vote",
        name="a server that learns refuses its vote",
        pitfall="Found in the field 8",
        story="The server may be a voter by an entry that has not reached it yet, and its vote is "
        "missing.",
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
        key="members-of-the-beginning",
        name="a server starts with the members of its beginning",
        pitfall="Found in the field 8",
        shows=LIVENESS,
        story="The server does not look at what its log says about the membership when it starts.",
        target=Raft,
        attribute="__init__",
        plant=edited(("    reconfiguration.adopt(self.state, batches)\n", "")),
        expected=(CONSISTENT, *LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
        options=CHANGES,
    ),
    Planted(
        key="snapshot-without-membership",
        name="a snapshot does not bring the membership",
        pitfall="Found in the field 10",
        shows=CONSISTENT,
        story="A server that installs the snapshot uses the members that it knew before.",
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
        key="learner-disk-counts",
        name="a learner's disk counts",
        pitfall="Found in the field 7, Found in the field 8",
        shows=DURABILITY,
        story="Every server that gets the log is counted, whether it votes or not.",
        target=Configuration,
        attribute="quorum_value",
        plant=edited(("for half in self._halves", "for half in (self.everybody,)")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY, LIVENESS, CRASH),
        within=60,
        options=CHANGES,
    ),
    Planted(
        key="learner-campaigns",
        name="a server without a configuration campaigns",
        pitfall="Raft itself 9",
        shows=CONSISTENT,
        story="A learner, or a server that has been removed, asks for votes.",
        target=RaftState,
        attribute="may_campaign",
        plant=lambda original: property(lambda self: True),
        expected=(CONSISTENT, LIVENESS, CRASH, ELECTION_SAFETY, PROMISES, DURABILITY),
        within=10,
        options=CHANGES,
    ),
    Planted(
        key="snapshot-with-later-membership",
        name="a snapshot has the membership of the log's end",
        pitfall="Found in the field 10",
        shows=CONSISTENT,
        story="The snapshot has a configuration that may still be removed from the log.",
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
        key="rebuild-while-voting",
        name="a node is rebuilt without being set aside first",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="The node loses its data while it is a voter. It forgets what it has voted and "
        "acknowledged, and that still counts.",
        target=changes,
        attribute="_rebuilding",
        plant=edited(('    yield Voters("been set aside", leave=(node,))\n', "")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=REBUILDS,
    ),
    Planted(
        key="rebuild-before-committed",
        name="a node loses its data before it is set aside for good",
        pitfall="Found in the field 8",
        shows=PROMISES,
        story="It is enough that the leader uses the configuration without the node. That may "
        "still be removed from the log, and until then the other configuration decides as "
        "well.",
        target=changes,
        attribute="standing",
        plant=edited((" and leader.membership_committed", "")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=60,
        options=REBUILDS,
    ),
    Planted(
        key="rebuild-without-floor",
        name="a node that is rebuilt is not told what was committed",
        pitfall="Found in the field 1",
        shows=ELECTION_SAFETY,
        story="The node votes for a server that has not heard of the change, and by whose "
        "configuration the node still counts.",
        target=changes,
        attribute="floor_of",
        plant=edited(("Floor(leader.commit_term, leader.commit_index)", "Floor()")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=60,
        options={"faults": ("rebuild", "reconfigure", "isolate")},
    ),
    Planted(
        key="rebuild-empties-voter",
        name="a node that is rebuilt loses its data when it votes again",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="The node is removed and added in one step, and its data is removed after that. So "
        "a voter lacks the log that it has acknowledged.",
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
        key="left-out-candidate-campaigns",
        name="a candidate that a snapshot leaves out keeps campaigning",
        pitfall="",
        story="The snapshot was being written when the server had its timeout. No server is left "
        "that could elect it.",
        target=reconfiguration,
        attribute="_end_campaign_of_non_voter",
        plant=edited(("raft.role is CANDIDATE", "False")),
        expected=(CONSISTENT,),
        within=60,
        options={"faults": ("hang-disk", "slow-disk", "reconfigure", "partition", "kill")},
    ),
    Planted(
        key="acknowledged-before-rebuild",
        name="a node that is back has what it acknowledged before it was removed",
        pitfall="Found in the field 1",
        shows=LIVENESS,
        story="A node is rebuilt. An acknowledgement from before arrives while it learns again. "
        "The leader believes that it has what it has forgotten, and is never told "
        "otherwise.",
        target=reconfiguration,
        attribute="_track_peers",
        plant=edited((", first_round=raft.round + 1", "")),
        expected=(LIVENESS, PROMISES, *LOSS),
        within=60,
        options={"faults": ("rebuild", "slow-link", "reorder")},
    ),
    Planted(
        key="forgotten-while-voting",
        name="a node is taken off the record while it votes",
        pitfall="",
        shows=RECONCILED,
        story="The node is stopped, and its data is removed, before any leader is asked to remove "
        "it. It stays a voter that is gone, and is never replaced.",
        target=changes,
        attribute="_removing",
        plant=edited(('    yield Voters("been removed", leave=tuple(nodes))\n', "")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=10,
        options=COME_AND_GO,
    ),
    Planted(
        key="gone-before-committed",
        name="a node has left as soon as the leader uses a configuration without it",
        pitfall="Found in the field 8",
        shows=RECONCILED,
        story="The configuration is not committed, and another leader may use the one before.",
        target=changes,
        attribute="standing",
        plant=edited((" and leader.membership_committed and _is_sure(leader)", "")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=60,
        options={"nodes": 3, "faults": ("add", "remove", "supervisor", "hunt", "isolate")},
    ),
    Planted(
        key="voters-of-a-new-leader",
        name="what a leader says of the voters counts before it knows what is committed",
        pitfall="Found in the field 8",
        shows=RECONCILED,
        story="An entry that names a node is in the log of a server that may still lead. The node "
        "is taken off the record, and then made a voter.",
        target=changes,
        attribute="_is_sure",
        plant=edited(("leader.commit_term == leader.term", "True")),
        expected=(RECONCILED, LIVENESS, *LOSS),
        within=60,
        options={"nodes": 3, "faults": ("add", "supervisor", "power")},
    ),
    Planted(
        key="broken-change-left",
        name="a change that was broken off is left as it is",
        pitfall="",
        shows=LIVENESS,
        story="A supervisor that starts does not look at what the one before has begun. A node "
        "stays without a vote, or on record without its data.",
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
        key="half-added-forgotten",
        name="the nodes of an add that is given up in part are forgotten",
        pitfall="",
        shows=RECONCILED,
        story="One of two new nodes is removed. The other one is on record, and never votes.",
        target=changes,
        attribute="superseded",
        plant=edited(("    if rest:\n", "    if False:\n")),
        expected=(RECONCILED,),
        within=60,
        options=COME_AND_GO,
    ),
]
