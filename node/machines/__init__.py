"""State machines: what a replicated log is for.

The log gives every node the same entries in the same order; a *machine* turns them into state and
into answers. `protocol.py` says what a machine is, `registry.py` finds one by its name. `files.py`,
`kv.py` and `journal.py` come with the house, and so do the recipes (docs/RECIPES.md): `lock.py`,
`election.py`, `members.py` and `multicast.py`, which share `verbs.py` and `lease.py`. `sessions.py`
keeps a client's retry from being applied twice, `answers.py` keeps answers within a budget, and
`snapshot.py` is the form in which the state of all of these is kept.
"""

from node.machines.protocol import Machine, error_answer
from node.machines.registry import load, names
from node.machines.sessions import Sessions

__all__ = ["Machine", "Sessions", "error_answer", "load", "names"]
