"""A small stage for Raft cores: servers wired in memory, moved by hand or by a script.

The stage knows `node/raft/` and nothing of the simulated world around it: it has no disks, no
processes and no clients. Time passes when a script or a test says so. Nothing else in
`launcher/simulation/` is imported here.
"""
