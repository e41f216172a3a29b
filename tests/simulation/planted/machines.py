"""Bugs in machines: nodes that apply the same entries, and do not compute the same from them."""

from __future__ import annotations

from node.machines.kv import KeyValue
from node.server.applying import Applying
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import STATE_MACHINE_SAFETY

BUGS = [
    Planted(
        name="a machine's answer depends on what its process has seen",
        pitfall="",
        story="SET answers how many there have been since this process began, and a snapshot does "
        "not hold that. The log and the state of all nodes are the same, and their answers differ.",
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
        name="a snapshot forgets the hash of the answers",
        pitfall="",
        story="Who goes on from a snapshot begins the hash anew: it looks as if its machine had "
        "answered otherwise, and is marked as diverged for ever.",
        target=Applying,
        attribute="take_over",
        plant=edited(("self._answers = stands.answers", "self._answers = 0")),
        expected=(STATE_MACHINE_SAFETY,),
        within=10,
    ),
]
