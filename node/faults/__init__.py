"""Faults that are made on purpose: what a fault does to a message, a disk, a clock or a process.

Each verdict is a pure function. A real node asks it, and the simulated world asks the same one, so
a fault does the same in both.

    links      lost, late, doubled and reordered messages, and links that are cut
    disks      disks that are slow, hang, are full or fail; and a real folder with such a fault
    pages      what a disk keeps when the power fails
    recording  a disk that records what is not synced
    unsynced   the memory for that, which outlives the node's process
    losing     undoes that on its real files
    clocks     clocks that step, strobe, or run fast or slow
    slices     a process that runs for a share of each period only
    points     named places in the code at which a fault strikes
    in_force   the ids of the faults in force at a node, as it reports them

It may import the ports, the wire and the core of `node`.
"""
