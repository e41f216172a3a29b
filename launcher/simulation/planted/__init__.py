"""Bugs to plant in the product, to see that the simulated world finds them.

`launcher simulate --plant KEY` plants one. Each is one function as a tired programmer might have
written it. Among them is every line of the list of pitfalls that the code so far can express. It
cannot express this one, because what it is about is not there:

Found in the field      2       the commit index is not saved

Some slips change nothing that anyone could see, for something else holds too. Votes of an earlier
term never reach the place where they are counted, since `Raft.step` drops what is stale. A torn
tail that is left where it is lies behind a record that is written over its beginning, and fails its
checksum again. A leader's refused guess that is not lowered itself is lowered by the terms.
"""

from __future__ import annotations

import difflib

from launcher.errors import UsageError
from launcher.simulation.planted import (
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
from launcher.simulation.planted.form import Planted, find, holders, planted

__all__ = ["ALL", "BLIND", "PLANTED", "TOPICS", "Planted", "find", "holders", "named", "planted"]

MOST_NAMED = 8
"""How many bugs an error names."""

BLIND = {
    "a late AppendEntries from before the snapshot is refused": (
        "an AppendEntries that is late by a whole snapshot, and a leader whose guess is not "
        "higher already"
    ),
    "a pre-vote is refused without a word": (
        "two new leaders that are killed before they send anything, and then three certain "
        "servers of five that are up"
    ),
    "the term of an answer is ignored": (
        "two new leaders that are killed before they send anything, and then three certain "
        "servers of five that are up"
    ),
    "acknowledgements of an earlier term are counted": (
        "acknowledgements that are under way while their leader loses leadership, has its log "
        "truncated, and leads again"
    ),
    "what was truncated meanwhile counts as on disk": (
        "a vote and entries in one write, a conflict during that write, and a heartbeat "
        "before the next write is done"
    ),
    "a read takes the number of the last heartbeat and sends none": (
        "followers that campaign sooner after a heartbeat than the leader sends the next one"
    ),
    "a read joins the round that is under way": (
        "followers that campaign sooner after a heartbeat than the leader sends the next one"
    ),
    "a lease takes no account of clocks that drift": (
        "a candidate that is elected, by voters that are free, within the tenth of a second "
        "by which the lease is too long"
    ),
    "a lease is counted from when its round is answered": (
        "slow answers, and a leader that is cut off just after them"
    ),
    "a voter that starts again has forgotten the lease": (
        "a leader that is cut off, a voter that is killed and restarted, and a candidate that "
        "has waited for long, all within half a second"
    ),
    "a voter that has come into a later term has forgotten the lease": (
        "a voter that asks for votes, hears its leader again, and then gets the answer to its "
        "question, before the leader is cut off"
    ),
    "a server that learns refuses its vote": (
        "a voter that its configuration has not reached yet, and a cluster that has no "
        "majority without it"
    ),
    "a candidate that a snapshot leaves out keeps campaigning": (
        "a snapshot by which its receiver is no voter, and an election timeout of the "
        "receiver while a slow disk still writes the snapshot"
    ),
    "an entry at the snapshot's end is taken for the one that it ends with": (
        "a snapshot that is sent to a server whose log has another entry, of an earlier term, "
        "just where the snapshot ends"
    ),
    "damage in the middle is taken for a torn tail": (
        "a disk that loses bits after the end that the supervisor has on record: any other "
        "lost end is recognised by that record"
    ),
    "damage in the last record is taken for a torn tail": (
        "a disk that loses bits after the end that the supervisor has on record: any other "
        "lost end is recognised by that record"
    ),
    "a snapshot gets its name before the log holds what it stands for": (
        "a term, its entries, their commit and a snapshot of them in one write, and a crash "
        "in the middle of that"
    ),
}
"""Bugs that the world does not find within its seeds, and what would have to come together. The
directed tests under `tests/node` fail with each of them."""

TOPICS: dict[str, list[Planted]] = {
    "elections": elections.BUGS,
    "transfers of leadership": handovers.BUGS,
    "replication": replication.BUGS,
    "reads": reads.BUGS,
    "disks": storage.BUGS,
    "what a server writes and sends": servers.BUGS,
    "clients and their sessions": sessions.BUGS,
    "snapshots": snapshots.BUGS,
    "membership": membership.BUGS,
    "data that is gone or too old": lives.BUGS,
    "operators": operators.BUGS,
    "machines": machines.BUGS,
}
"""All bugs, by topic."""

ALL: list[Planted] = [bug for bugs in TOPICS.values() for bug in bugs]

PLANTED = [bug for bug in ALL if bug.name not in BLIND]
"""Bugs that are found."""


def named(word: str) -> Planted:
    """The bug with this key or sentence, or the only one with this in its key or its sentence.

    Raises UsageError for a word that means none, or several.
    """
    for bug in ALL:
        if word in (bug.key, bug.name):
            return bug
    wanted = word.lower()
    found = [bug for bug in ALL if wanted in bug.key or wanted in bug.name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(bug.key for bug in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise UsageError(f"{len(found)} planted bugs have {word!r} in their names: {keys}{more}")
    near = difflib.get_close_matches(word, [bug.key for bug in ALL], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"no planted bug {word!r}{hint} (`launcher simulate --plants` lists all)")
