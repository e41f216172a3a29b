"""Bugs in leadership transfer (thesis §3.10), and in giving way when the disk hangs."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    ELECTION_SAFETY,
    HANDOVER,
    LIVENESS,
    LOSS,
    STABILITY,
)
from node.raft import roles, stall, transfer
from node.raft.raft import Raft

BUGS = [
    Planted(
        key="transfer-before-caught-up",
        name="a target is told to campaign before it has caught up",
        pitfall="Raft itself 18",
        shows=HANDOVER,
        story="TimeoutNow is sent at once. A target that lacks entries deposes the leader and "
        "wins no vote.",
        target=transfer,
        attribute="hand_over",
        plant=edited((" or _lacks(raft, transfer.target) > 0", "")),
        expected=(HANDOVER,),
        within=10,
    ),
    Planted(
        key="transfer-counts-sent",
        name="a target has caught up when all has been sent to it",
        pitfall="Raft itself 18",
        shows=HANDOVER,
        story="The leader takes what it has sent for what has arrived. Messages may be lost.",
        target=transfer,
        attribute="_lacks",
        plant=edited((".match_index", ".next_index + 1")),
        expected=(HANDOVER,),
        within=10,
    ),
    Planted(
        key="transfer-with-writes",
        name="writes go on while leadership is handed over",
        pitfall="Found in the field 12",
        shows=HANDOVER,
        story="The leader accepts proposals meanwhile, so the target never catches up.",
        target=Raft,
        attribute="propose",
        plant=edited(("if raft.transfer is not None:", "if False:")),
        expected=(HANDOVER,),
        within=20,
    ),
    Planted(
        key="transfer-never-given-up",
        name="a transfer is never given up",
        pitfall="Raft itself 18, Found in the field 12",
        shows=HANDOVER,
        story="The target is dead or cannot be reached, and the leader refuses writes for ever.",
        target=transfer,
        attribute="check",
        plant=edited((" or raft.now < transfer.deadline", " or raft.role is LEADER")),
        expected=(HANDOVER,),
        within=20,
    ),
    Planted(
        key="transfer-failed-steps-down",
        name="a leader that could not hand over steps down",
        pitfall="Found in the field 12",
        shows=LIVENESS,
        story="The leader was about to give up its leadership anyway, it is thought. So after a "
        "failed transfer the cluster has no leader for another election timeout.",
        target=transfer,
        attribute="check",
        plant=edited(
            (
                "    abort(raft, transfer, reason)\n",
                (
                    "    abort(raft, transfer, reason)\n"
                    "    if raft.role is LEADER:\n"
                    "        become_follower(raft, None, reason)\n"
                ),
            )
        ),
        expected=(LIVENESS,),
        within=20,
    ),
    Planted(
        key="transfer-target-gets-no-votes",
        name="a voter that hears the leader does not vote for the target of its handover",
        pitfall="Raft itself 18",
        shows=LIVENESS,
        story="Voters that hear a leader refuse to vote, as usual. But here the leader wants it, "
        "so the target has begun a term in which nobody votes.",
        target=Raft,
        attribute="_enter_term",
        plant=edited((" and not message.leadership_transfer", "")),
        expected=(LIVENESS, STABILITY),
        within=10,
    ),
    Planted(
        key="transfer-order-of-earlier-term",
        name="a TimeoutNow of an earlier term is obeyed",
        pitfall="Raft itself 18",
        shows=HANDOVER,
        story="A TimeoutNow that was delayed or duplicated deposes a leader that has handed over "
        "to nobody.",
        target=Raft,
        attribute="step",
        plant=edited(
            (
                "if message.term < raft.current_term:",
                "if message.term < raft.current_term and not isinstance(message, TimeoutNow):",
            ),
            (
                "transfer.on_timeout_now(raft, message)",
                (
                    "if raft.role is not LEADER:\n"
                    "                transfer.on_timeout_now(\n"
                    "                    raft, TimeoutNow(raft.current_term, message.leader_id)\n"
                    "                )"
                ),
            ),
        ),
        expected=(HANDOVER,),
        within=30,
    ),
    Planted(
        key="transfer-order-remembered",
        name="a server that was told to campaign once always campaigns in its leader's name",
        pitfall="Raft itself 18",
        shows=HANDOVER,
        story="The server does not forget the order after the election. All its later requests "
        "for votes depose leaders that are heard.",
        target=roles,
        attribute="become_follower",
        plant=edited(("    raft.asked_to_campaign = False\n", "")),
        expected=(HANDOVER, STABILITY),
        within=10,
    ),
    Planted(
        key="transfer-without-votes",
        name="a server that is told to campaign needs no votes",
        pitfall="Raft itself 18",
        shows=ELECTION_SAFETY,
        story="The leader has chosen this server. It takes that for a majority, and a term gets "
        "two leaders.",
        target=transfer,
        attribute="on_timeout_now",
        plant=edited(
            (
                "    campaign(raft)\n",
                (
                    "    campaign(raft)\n"
                    "    raft.votes = dict.fromkeys(raft.configuration.voters, True)\n"
                ),
            )
        ),
        expected=(*LOSS, ELECTION_SAFETY),
        within=20,
        options={"faults": ("transfer", "ambush")},
    ),
    Planted(
        key="hanging-disk-leads-on",
        name="a leader whose disk hangs goes on leading",
        pitfall="Found in the field 3",
        shows=LIVENESS,
        story="The leader still sends heartbeats, so nobody replaces it, and it can write nothing.",
        target=stall,
        attribute="give_way",
        plant=edited(("raft.transfer is not None or", "True or")),
        expected=(LIVENESS,),
        within=10,
    ),
]
