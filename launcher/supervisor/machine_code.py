"""What code of the user's machine a cluster runs, and whether a node may run what it has.

What a cluster runs is what its running nodes have said (`node/machines/fingerprint.py`): so it is
fixed while any of them runs, and whatever is started when none does may bring other code. A node is
told before it starts, and refuses by itself, before it touches its data. Nodes that start together
are told nothing, as none of them has said anything yet: so it is looked at again when they have.
"""

from __future__ import annotations

from collections.abc import Iterable

from launcher.supervisor.processes import Node, NodeProcess
from node import wire
from node.machines.fingerprint import other_code


def of(processes: Iterable[NodeProcess]) -> list[str]:
    """The code that these run, as far as they have said it."""
    return sorted({process.machine_code for process in processes} - {""})


def admit(node: Node, code: str, codes: list[str], machine: str) -> tuple[bool, bool]:
    """Whether the node may run its code, and whether that is other code than all other nodes have.

    code: what it has said that it runs; empty for a machine that has no code of its own
    codes: what the other nodes run
    """
    process = node.process
    if process is None:
        return False, False
    other = bool(code and codes and code not in codes)
    if other and not node.other_code:
        process.send(wire.CodeRefused(other_code(node.id, machine)))
        return False, True
    process.machine_code = code
    return True, other
