"""Bugs in leadership transfer (thesis §3.10), and in giving way when the disk hangs."""

from __future__ import annotations

from node.raft import roles, stall, transfer
from node.raft.raft import Raft
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    ELECTION_SAFETY,
    HANDOVER,
    LIVENESS,
    LOSS,
    STABILITY,
)

BUGS = [
    Planted(
        name="a target is told to campaign before it has caught up",
        pitfall="Raft itself 18",
        story="TimeoutNow leaves at once. A target that lags deposes the leader and wins no vote.",
        target=transfer,
        attribute="hand_over",
        plant=edited((" or _lacks(raft, transfer.target) > 0", "")),
        expected=(HANDOVER,),
        within=10,
    ),
    Planted(
        name="a target has caught up when all has been sent to it",
        pitfall="Raft itself 18",
        story="The guess is taken for the proof: what was sent may be lost.",
        target=transfer,
        attribute="_lacks",
        plant=edited((".match_index", ".next_index + 1")),
        expected=(HANDOVER,),
        within=10,
    ),
    Planted(
        name="writes go on while leadership is handed over",
        pitfall="Found in the field 12",
        story="The leader takes proposals all the while, and the target never catches up.",
        target=Raft,
        attribute="propose",
        plant=edited(("if raft.transfer is not None:", "if False:")),
        expected=(HANDOVER,),
        within=20,
    ),
    Planted(
        name="a transfer is never given up",
        pitfall="Raft itself 18, Found in the field 12",
        story="The target is dead or out of reach, and the leader refuses writes for ever.",
        target=transfer,
        attribute="check",
        plant=edited((" or raft.now < transfer.deadline", " or raft.role is LEADER")),
        expected=(HANDOVER,),
        within=20,
    ),
    Planted(
        name="a leader that could not hand over steps down",
        pitfall="Found in the field 12",
        story="It was about to give up the lead anyway; so a transfer that fails leaves the "
        "cluster without a leader for an election timeout more.",
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
        name="a voter that hears the leader does not vote for the target of its handover",
        pitfall="Raft itself 18",
        story="The rule that protects a live leader is not lifted: the target has begun a term in "
        "which nobody votes.",
        target=Raft,
        attribute="_enter_term",
        plant=edited((" and not message.leadership_transfer", "")),
        expected=(LIVENESS, STABILITY),
        within=10,
    ),
    Planted(
        name="a TimeoutNow of an earlier term is obeyed",
        pitfall="Raft itself 18",
        story="One that was delayed, or doubled, deposes a leader who has handed over to nobody.",
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
        name="a server that was told to campaign once always campaigns in its leader's name",
        pitfall="Raft itself 18",
        story="The flag outlives the election that was asked for, and with it every later "
        "candidacy deposes a leader that is heard.",
        target=roles,
        attribute="become_follower",
        plant=edited(("    raft.asked_to_campaign = False\n", "")),
        expected=(HANDOVER, STABILITY),
        within=10,
    ),
    Planted(
        name="a server that is told to campaign needs no votes",
        pitfall="Raft itself 18",
        story="The leader has chosen: the target takes that for a majority, and a term gets two "
        "leaders.",
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
        name="a leader whose disk hangs leads on",
        pitfall="Found in the field 3",
        story="Its heart beats, so nobody replaces it.",
        target=stall,
        attribute="give_way",
        plant=edited(("raft.transfer is not None or", "True or")),
        expected=(LIVENESS,),
        within=10,
    ),
]
