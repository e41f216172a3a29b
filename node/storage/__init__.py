"""What a node keeps on its disk, and what it makes of it after a crash.

Nothing that was made durable is lost, and damage is told from a write that a crash cut short. The
wing reaches the disk only through the ports of `node/ports.py`, so the simulated world runs the
same code on simulated disks.

    store       all of one node's data together: its log, its term and vote, its snapshots
    wal         the write-ahead log, with the term and the vote
    segment     the bytes of one file of the log (pure)
    index       which file of the log holds which entries
    mark        a second record of how far the log was synced, in a file of its own
    recovery    reads and judges what a log has left behind, and changes nothing
    snapshots   the files of snapshots
    lives       tells data that has lost something from data that is new (pure)
    salvage     makes a new cluster of one node out of the data of one node
    disk        the real disk: a folder of the operating system

It may import the core, the ports and the errors of `node`.
"""
