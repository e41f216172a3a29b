"""Bugs in the server: the order of persist, send, apply and answer (the core's contract)."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    BOUNDS,
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    EXACTLY_ONCE,
    LINEARIZABILITY,
    LIVENESS,
    PROMISES,
    RECOVERY,
    STATE_MACHINE_SAFETY,
)
from node.raft.raft import Raft
from node.server import requests
from node.server.clients import Clients
from node.server.server import Server
from node.server.write import Write

BUGS = [
    Planted(
        key="send-before-write",
        name="what depends on a write is sent at once",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="Messages that should wait for the disk are sent with the others.",
        target=Server,
        attribute="_carry_out",
        plant=edited(
            (
                "self._next_write.messages += ready.messages_after_persist",
                "self._send(ready.messages_after_persist)",
            )
        ),
        expected=(PROMISES, DURABILITY, ELECTION_SAFETY),
        within=10,
    ),
    Planted(
        key="send-during-write",
        name="what depends on the write under way is sent at once",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="A step that writes nothing need not wait, it is thought. But its messages may "
        "depend on what is still being written, such as the answer to a duplicated "
        "AppendEntries.",
        target=Server,
        attribute="_carry_out",
        plant=edited(("must_persist or self._writing is not None", "must_persist")),
        expected=(PROMISES, DURABILITY, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        key="send-when-write-begins",
        name="messages leave when the write is begun, not when it is done",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="Messages are sent as soon as the disk has been told to write.",
        target=Server,
        attribute="begin_write",
        plant=edited(
            (
                "self._writing, self._next_write = write, Write()\n",
                (
                    "self._writing, self._next_write = write, Write()\n"
                    "    self._send(write.messages)\n"
                    "    write.messages.clear()\n"
                ),
            )
        ),
        expected=(PROMISES, DURABILITY, ELECTION_SAFETY),
        within=10,
    ),
    Planted(
        key="durable-when-write-begins",
        name="the core is told that a write is durable when it is begun",
        pitfall="Raft itself 1",
        shows=LIVENESS,
        story="The leader counts its own disk, and a follower acknowledges with a heartbeat, "
        "before the data is synced.",
        target=Server,
        attribute="begin_write",
        plant=edited(
            (
                "self._writing, self._next_write = write, Write()\n",
                (
                    "self._writing, self._next_write = write, Write()\n"
                    "    for ready in write.readies:\n"
                    "        self._raft.persisted(ready)\n"
                ),
            )
        ),
        expected=(PROMISES, DURABILITY, LIVENESS),
        within=25,
    ),
    Planted(
        key="joined-writes-lose-vote",
        name="of two writes that are joined the later term and vote are lost",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="While the disk is busy two steps wait. The term and vote of the first are written, "
        "and those of the second are not.",
        target=Write,
        attribute="hard_state",
        plant=edited(("states[-1]", "states[0]")),
        expected=(PROMISES, RECOVERY),
        within=30,
        options={"faults": ("transfer", "slow-disk", "ambush")},
    ),
    Planted(
        key="joined-writes-last-term-only",
        name="of two writes that are joined only the last may bring a term",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="Two steps are written together. The later one does not change the term, and so the "
        "term that the earlier one has changed is not written.",
        target=Write,
        attribute="hard_state",
        plant=edited(
            (
                (
                    "states = [ready.hard_state for ready in self.readies "
                    "if ready.hard_state is not None]"
                ),
                "states = [ready.hard_state for ready in self.readies[-1:]]",
            )
        ),
        expected=(PROMISES, RECOVERY, CRASH),
        within=30,
    ),
    Planted(
        key="vote-of-known-term-not-durable",
        name="a vote in a term that is known already is not made durable",
        pitfall="Raft itself 5, Found in the field 1",
        shows=PROMISES,
        story="The core hands out term and vote to be written only when the term has changed.",
        target=Raft,
        attribute="ready",
        plant=edited((" or handed.voted_for != raft.voted_for", "")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=60,
        options={"faults": ("transfer", "slow-link")},
    ),
    Planted(
        key="answer-for-another-batch",
        name="a client that waits for a batch is answered for another",
        pitfall="Raft itself 11",
        shows=STATE_MACHINE_SAFETY,
        story="A server that loses leadership keeps its waiting clients, by index. What another "
        "leader puts at that index answers them.",
        target=Clients,
        attribute="give_up_lost_leader",
        plant=edited(("    self._waiters.clear()\n", "")),
        expected=(EXACTLY_ONCE, CRASH, STATE_MACHINE_SAFETY, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        key="client-acknowledgement-believed",
        name="the answers that a client claims to have got are not checked",
        pitfall="",
        shows=BOUNDS,
        story="A request acknowledges answers that it has not got yet. So any number of its "
        "commands passes the bound on those that are unacknowledged.",
        target=requests,
        attribute="_check_submit",
        plant=edited(("if not 1 <= lowest <= first:", "if lowest < 1:")),
        expected=(BOUNDS,),
        within=60,
    ),
    Planted(
        key="commands-not-counted",
        name="the commands of a request are bounded in bytes and not in number",
        pitfall="",
        shows=BOUNDS,
        story="A request is bounded in bytes, and a command may be one byte long.",
        target=requests,
        attribute="_check_entries",
        plant=edited(("if count > MOST_COMMANDS:", "if False:")),
        expected=(BOUNDS,),
        within=60,
    ),
]
