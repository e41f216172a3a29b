"""Bugs in how data that is gone, or older than it should be, is recognised."""

from __future__ import annotations

import launcher.folders.lives
import node.storage.lives
from node.storage import salvage
from node.storage.wal import WriteAheadLog
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    ELECTION_SAFETY,
    LINEARIZABILITY,
    LIVENESS,
    LOSS,
    PROMISES,
    RECOVERY,
)

WIPES = {"faults": ("wipe", "kill", "isolate", "rebuild")}
BEGINS_ANEW = {"faults": ("recover", "kill", "isolate", "snapshot")}
COPIES = {"faults": ("set-back", "kill", "isolate", "rebuild")}

BUGS = [
    Planted(
        name="an empty folder is taken for a beginning",
        pitfall="At the edges 1",
        story="A voter whose folder was emptied begins anew: it votes a second time, and elects a "
        "leader that lacks what it had acknowledged.",
        target=node.storage.lives,
        attribute="check_not_lost",
        plant=edited(("if known.lived:", "if False:")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=WIPES,
    ),
    Planted(
        name="an older copy of a folder counts",
        pitfall="At the edges 1",
        story="The life is the same, and how far the log was known to reach is not looked at.",
        target=node.storage.lives,
        attribute="check_not_lost",
        plant=edited(("if sequence < known.sequence:", "if False:")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=COPIES,
    ),
    Planted(
        name="nobody looks how far the log of a dead node reaches",
        pitfall="At the edges 1",
        story="Only what a life began with is on record: a copy from later in that life counts.",
        target=launcher.folders.lives,
        attribute="reaching",
        plant=edited(("not known.lived or sequence <= known.sequence", "True")),
        expected=(PROMISES, ELECTION_SAFETY, *LOSS),
        within=10,
        options=COPIES,
    ),
    Planted(
        name="a life is not written into the log",
        pitfall="",
        story="The log tells of the first start only, and is taken for an older copy for ever.",
        target=WriteAheadLog,
        attribute="open",
        plant=lambda original: classmethod(edited(("if life.number:", "if False:"))(original)),
        expected=(RECOVERY,),
        within=10,
        options={"faults": ("kill",)},
    ),
    Planted(
        name="a rebuilt node is held to what it was told to forget",
        pitfall="",
        story="Its data was removed on purpose, and its empty folder is refused.",
        target=launcher.folders.lives,
        attribute="emptied",
        plant=edited(("known=LastKnown()", "known=record.known")),
        expected=(RECOVERY,),
        within=10,
        options={"faults": ("rebuild", "kill")},
    ),
    Planted(
        name="a cluster that begins anew lacks the end of the survivor's log",
        pitfall="",
        story="Nobody knew that it was committed, and so it is left behind; but it was.",
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
        name="a cluster that begins anew has forgotten its clients' sessions",
        pitfall="Raft itself 11",
        story="The state is copied without them, and what a client sends again is applied again.",
        target=salvage,
        attribute="_copy_snapshot",
        plant=edited(("(Part.SESSIONS, Part.MACHINE)", "(Part.MACHINE,)")),
        expected=(RECOVERY, LIVENESS, LINEARIZABILITY, *LOSS),
        within=10,
        options=BEGINS_ANEW,
    ),
]
