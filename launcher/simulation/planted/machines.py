"""Bugs in machines: nodes that apply the same entries, and do not compute the same from them."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    STATE_MACHINE_SAFETY,
)
from node.machines.kv import KeyValue
from node.server.applying import Applying

BUGS = [
    Planted(
        key="answer-depends-on-process",
        name="a machine's answer depends on what its process has seen",
        pitfall="",
        shows=STATE_MACHINE_SAFETY,
        story="SET answers how many there have been since the process began, and a snapshot does "
        "not have that. The logs and the states of all nodes are the same, and their "
        "answers differ.",
        target=KeyValue,
        attribute="apply",
        plant=edited(
            (
                "    return run(self, rest)\n",
                (
                    "    answer = run(self, rest)\n"
                    "    if verb == b'SET':\n"
                    "        self.sets = getattr(self, 'sets', 0) + 1\n"
                    "        return answer + b' %d' % self.sets\n"
                    "    return answer\n"
                ),
            )
        ),
        expected=(STATE_MACHINE_SAFETY,),
        within=10,
    ),
    Planted(
        key="snapshot-without-answer-hash",
        name="a snapshot forgets the hash of the answers",
        pitfall="",
        shows=STATE_MACHINE_SAFETY,
        story="A node that continues from a snapshot begins the hash anew. It seems that its "
        "machine has answered differently, and it is marked as diverged for ever.",
        target=Applying,
        attribute="take_over",
        plant=edited(("self._answers = stands.answers", "self._answers = 0")),
        expected=(STATE_MACHINE_SAFETY,),
        within=10,
    ),
]
