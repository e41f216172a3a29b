"""Bugs in the server: the order of persist, send, apply and answer (the core's contract)."""

from __future__ import annotations

from node.raft.raft import Raft
from node.server import requests
from node.server.clients import Clients
from node.server.server import Server
from node.server.write import Write
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
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

BUGS = [
    Planted(
        name="what depends on a write is sent at once",
        pitfall="Raft itself 1",
        story="Messages that were to wait for the disk leave with the others.",
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
        name="what depends on the write under way is sent at once",
        pitfall="Raft itself 1",
        story="A Ready with nothing to write need not wait, it is thought; but its messages may "
        "speak of what is still being written, as the answer to a doubled AppendEntries does.",
        target=Server,
        attribute="_carry_out",
        plant=edited(("must_persist or self._writing is not None", "must_persist")),
        expected=(PROMISES, DURABILITY, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        name="messages leave when the write is begun, not when it is done",
        pitfall="Raft itself 1",
        story="They are sent as soon as the disk has been told.",
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
        name="the core is told that a write is durable when it is begun",
        pitfall="Raft itself 1",
        story="The leader counts its own disk, and a follower claims it in a heartbeat's reply, "
        "before it has been synced.",
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
        name="of two writes that are joined the later term and vote are lost",
        pitfall="Found in the field 1",
        story="While the disk is busy two Readys gather; the first one's term and vote is written.",
        target=Write,
        attribute="hard_state",
        plant=edited(("states[-1]", "states[0]")),
        expected=(PROMISES, RECOVERY),
        within=30,
        options={"faults": ("transfer", "slow-disk", "ambush")},
    ),
    Planted(
        name="of two writes that are joined only the last may bring a term",
        pitfall="Found in the field 1",
        story="A later Ready that changes no term takes the one with it that an earlier one did.",
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
        name="a vote in a term that is known already is not made durable",
        pitfall="Raft itself 5, Found in the field 1",
        story="The core hands out its hard state only when the term has changed.",
        target=Raft,
        attribute="ready",
        plant=edited((" or handed.voted_for != raft.voted_for", "")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=60,
        options={"faults": ("transfer", "slow-link")},
    ),
    Planted(
        name="who waited for a batch is answered for another",
        pitfall="Raft itself 11",
        story="Who loses the lead keeps the clients that wait, by index: what another leader puts "
        "there answers them.",
        target=Clients,
        attribute="give_up_lost_leader",
        plant=edited(("    self._waiters.clear()\n", "")),
        expected=(EXACTLY_ONCE, CRASH, STATE_MACHINE_SAFETY, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        name="what a client says that it has been answered is believed",
        pitfall="",
        story="A request acknowledges the answers to what it only sends now: so any number of its "
        "commands passes the bound on those that are unacknowledged.",
        target=requests,
        attribute="_check_submit",
        plant=edited(("if not 1 <= lowest <= first:", "if lowest < 1:")),
        expected=(BOUNDS,),
        within=60,
    ),
    Planted(
        name="the commands of a request are weighed and not counted",
        pitfall="",
        story="A frame is bounded in bytes, and a command may be one byte long.",
        target=requests,
        attribute="_check_entries",
        plant=edited(("if count > MOST_COMMANDS:", "if False:")),
        expected=(BOUNDS,),
        within=60,
    ),
]
