"""The records of messages that real nodes write (`node/tap/`), as events in one order.

Only files are read: no node is asked, none is slowed down, and it does not matter whether a node
runs, is frozen, or is dead. The events have the form that a trace of the simulated world has, but
for the `state` of the node. The modules, in reading order:

    records     one record out of a file's bytes; a record as an event (pure)
    files       the segments of one node, one after the other, also while they are written
    reading     all nodes' events, in order; what is missing
    rates       messages, bytes, entries and elections a second (pure)

A million records are read in a few megabytes of memory: what was read is not kept.
"""
