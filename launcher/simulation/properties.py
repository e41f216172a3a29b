"""The properties that the simulated world checks, beside those of `node/raft/invariants.py`.

A run that breaks one ends with `InvariantBroken`, which carries its name. docs/SIMULATION.md says
what each of them means, and when it is checked.
"""

from __future__ import annotations

AVAILABILITY = "availability"
"""A rolling restart by itself never takes the quorum away."""

CRASH = "crash"
"""No server dies of an error of its own."""

DURABILITY = "durability"
"""What is committed is on a majority of the disks."""

EXACTLY_ONCE = "exactly-once"
"""A command takes effect once, however often it is sent, and its reply says at which index."""

HANDOVER = "handover"
"""A leader hands over only to a node that has its whole log, and gives up in time."""

LINEARIZABILITY = "linearizability"
"""Some order of the operations explains all that the clients observed."""

LIVENESS = "liveness"
"""Once the faults have stopped, the cluster elects a leader, commits, and serves its clients."""

PROMISES = "promises"
"""What a node has told others survives on its disk."""

READ_INDEX = "read-index"
"""A read sees all that any node knew to be committed when the client asked, acknowledged or not."""

RECONCILED = "reconciled"
"""In the end the voters are the nodes on record, and no others. A node that is taken off the record
is no member of any configuration that may still count."""

RECOVERY = "recovery"
"""A server recovers from whatever a crash has left on its disk."""

STABILITY = "stability"
"""A follower that cannot hear a stable leader for a while deposes nobody."""
