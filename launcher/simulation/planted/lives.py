"""Bugs in how data that is gone, or older than it should be, is recognised."""

from __future__ import annotations

import launcher.folders.lives
import node.storage.lives
from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    LINEARIZABILITY,
    LIVENESS,
    LOSS,
    PROMISES,
    RECOVERY,
)
from node.storage import salvage
from node.storage.wal import WriteAheadLog

WIPES = {"faults": ("wipe", "kill", "isolate", "rebuild")}
BEGINS_ANEW = {"faults": ("recover", "kill", "isolate", "snapshot")}
COPIES = {"faults": ("set-back", "kill", "isolate", "rebuild")}

BUGS = [
    Planted(
        key="empty-folder-begins",
        name="an empty folder is taken for a beginning",
        pitfall="At the edges 1",
        shows=PROMISES,
        story="A voter whose folder was emptied begins anew. It votes a second time, and elects a "
        "leader that lacks what it had acknowledged.",
        target=node.storage.lives,
        attribute="check_not_lost",
        plant=edited(("if known.lived:", "if False:")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=WIPES,
    ),
    Planted(
        key="older-copy-counts",
        name="an older copy of a folder counts",
        pitfall="At the edges 1",
        shows=PROMISES,
        story="The node does not compare how far the log of the folder reaches with how far it is "
        "known to have reached.",
        target=node.storage.lives,
        attribute="check_not_lost",
        plant=edited(("if sequence < known.sequence:", "if False:")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=COPIES,
    ),
    Planted(
        key="dead-log-not-looked-at",
        name="nobody looks how far the log of a dead node reaches",
        pitfall="At the edges 1",
        shows=PROMISES,
        story="Only the beginning of each life of the node is on record. So a copy from later in "
        "that life is accepted.",
        target=launcher.folders.lives,
        attribute="reaching",
        plant=edited(("not known.lived or sequence <= known.sequence", "True")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=COPIES,
    ),
    Planted(
        key="life-not-in-log",
        name="a life is not written into the log",
        pitfall="",
        shows=RECOVERY,
        story="The log knows of the first start only, so it is taken for an older copy for ever.",
        target=WriteAheadLog,
        attribute="open",
        plant=edited(("if life.number:", "if False:")),
        expected=(RECOVERY,),
        within=10,
        options={"faults": ("kill",)},
    ),
    Planted(
        key="rebuilt-held-to-past",
        name="a rebuilt node is held to what it was told to forget",
        pitfall="",
        shows=RECOVERY,
        story="The data was removed on purpose, and the empty folder is refused.",
        target=launcher.folders.lives,
        attribute="emptied",
        plant=edited(("known=LastKnown()", "known=record.known")),
        expected=(RECOVERY,),
        within=10,
        options={"faults": ("rebuild", "kill")},
    ),
    Planted(
        key="recover-loses-last-entry",
        name="a cluster that begins anew lacks the end of the survivor's log",
        pitfall="",
        shows=DURABILITY,
        story="Nobody knew that the last entry was committed, so it is left out. But it was "
        "committed.",
        target=salvage,
        attribute="rewrite",
        plant=edited(
            (
                "    snapshot = kept.snapshot\n",
                "    kept.batches = kept.batches[:-1]\n    snapshot = kept.snapshot\n",
            )
        ),
        expected=(PROMISES, ELECTION_SAFETY, LINEARIZABILITY, *LOSS),
        within=10,
        options=BEGINS_ANEW,
    ),
    Planted(
        key="recover-loses-sessions",
        name="a cluster that begins anew has forgotten its clients' sessions",
        pitfall="Raft itself 11",
        shows=CRASH,
        story="The state is copied without the sessions. What a client sends again is applied "
        "again.",
        target=salvage,
        attribute="_copy_snapshot",
        plant=edited(("(Part.SESSIONS, Part.MACHINE)", "(Part.MACHINE,)")),
        expected=(RECOVERY, LIVENESS, LINEARIZABILITY, *LOSS),
        within=10,
        options=BEGINS_ANEW,
    ),
]
