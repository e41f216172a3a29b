"""Bugs planted in the product, to see that the simulated world finds them.

Each is one function as somebody tired might have written it. Among them is every line of the list
of pitfalls that the code so far can express. It cannot express these, for what they are about is
not there yet:

Found in the field      2       the commit index is not saved

Some slips change nothing that anyone could see, for something else holds too. Votes of an earlier
term never reach the place where they are counted, since `Raft.step` drops what is stale. A torn
tail that is left where it is lies behind a record that is written over its beginning, and fails its
checksum again. A leader's refused guess that is not lowered itself is lowered by the terms.
"""

from __future__ import annotations

from tests.simulation.planted import (
    elections,
    handovers,
    lives,
    machines,
    membership,
    operators,
    reads,
    replication,
    servers,
    sessions,
    snapshots,
    storage,
)
from tests.simulation.planted.form import Planted, find, holders, planted

__all__ = ["BLIND", "PLANTED", "Planted", "find", "holders", "planted"]

BLIND = {
    "a late AppendEntries from before the snapshot is refused": "one that is late by a snapshot, "
    "and a leader whose guess is not higher already",
    "a pre-vote is refused without a word": "two winners killed before they say a word, and then "
    "just the right three of five up",
    "the term of an answer is ignored": "the same",
    "acknowledgements of an earlier term are counted": "acknowledgements under way while their "
    "leader loses leadership, is truncated, and leads again",
    "what was truncated meanwhile counts as on disk": "a vote and entries in one write, a conflict "
    "during it, and a heartbeat before the next is done",
    "a read takes the number of the last heartbeat and sends none": "followers that campaign "
    "sooner after a heartbeat than a leader sends the next",
    "a read joins the round that is under way": "the same",
    "a lease takes no account of clocks that drift": "a candidate that campaigns, and is "
    "elected by voters that are free, within the tenth of a second by which it is too long",
    "a lease is counted from when its round is answered": "answers that are slow, and a leader "
    "that is cut off just behind them",
    "a voter that starts again has forgotten the lease": "a leader that is cut off, a voter that "
    "is killed and back, and a candidate that has waited for long, all within half a second",
    "a voter that has come into a later term has forgotten the lease": "a voter that asks for "
    "votes, hears its leader again, and then the answer to what it asked, before the leader is cut "
    "off",
    "a server that learns refuses its vote": "a voter whose configuration has not come to it "
    "yet, and a cluster that has no majority but with it",
    "a candidate that a snapshot leaves out keeps campaigning": "a snapshot that is at a slow "
    "disk while its receiver has a timeout, and by which it is no voter",
    "an entry at the snapshot's end is taken for the one that it ends with": "a snapshot that is "
    "sent to a log with another entry of an earlier term just where it ends",
    "damage in the middle is taken for a torn tail": "a disk that rots behind the end that the "
    "supervisor has on record: any other lost end is recognised by that record",
    "damage in the last record is taken for a torn tail": "the same",
    "a snapshot gets its name before the log holds what it stands for": "a term, its entries, "
    "their commit and a snapshot of them in one write, and a crash in the middle of that",
}
"""Bugs that the world does not find within its seeds, and what would have to come together. The
directed tests under `tests/node` fail with each of them."""

ALL: list[Planted] = [
    *elections.BUGS,
    *handovers.BUGS,
    *replication.BUGS,
    *reads.BUGS,
    *storage.BUGS,
    *servers.BUGS,
    *sessions.BUGS,
    *snapshots.BUGS,
    *membership.BUGS,
    *lives.BUGS,
    *operators.BUGS,
    *machines.BUGS,
]

PLANTED = [bug for bug in ALL if bug.name not in BLIND]
"""Bugs that are found."""
