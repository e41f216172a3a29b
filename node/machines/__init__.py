"""State machines: what the entries of the log do, and what their answers are.

The log gives every node the same entries in the same order. A machine is deterministic, so on every
node it comes to the same state and gives the same answers.

What a machine is, and how it is found:

    protocol      what a machine must be able to do
    registry      finds and loads a machine by its name
    fingerprint   tells whether two nodes run the same code of a machine
    failures      describes the failure of a user's machine, in one line and with its place

The machines that are included; `lock`, `election`, `members` and `multicast` are recipes
(docs/RECIPES.md), which share `verbs` and `lease`:

    files         the names of the files of a distributed file system; the default
    kv            a key-value store
    journal       keeps every entry as it is
    lock          locks that are held for a time, with fencing tokens
    election      elects leaders for the programs that use the cluster
    members       the members of a group, and which of them have failed
    multicast     messages that every subscriber gets once, in one order
    verbs         the language of the recipes
    lease         leases that end by the time in the log

What every machine is run by:

    sessions      applies each command of a client once, however often it is sent
    answers       applies commands as long as their answers fit into a budget
    snapshot      the form in which the state of machines and sessions is kept

It may import the errors, the wire, and the small modules for text, quantities and module paths at
the top of `node`. It knows nothing of the core, of disks or of sockets.
"""

from node.machines.protocol import Machine, error_answer
from node.machines.registry import load, names
from node.machines.sessions import Sessions

__all__ = ["Machine", "Sessions", "error_answer", "load", "names"]
