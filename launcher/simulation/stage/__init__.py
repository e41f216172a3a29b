"""A small stage for Raft cores: servers wired in memory, moved by hand or by a script.

The stage knows `node/raft/` and nothing of the simulated world around it: it has no disks, no
processes and no clients. Time passes when a script or a test says so. Nothing else in
`launcher/simulation/` is imported here.

    words          the words of a line: numbers, durations, servers, links
    notation       how messages, entries, events and logs are written
    cores          a cluster of cores, moved step by step
    play           the state of a script: its servers and its transcript
    expectations   what a script may expect
    commands       what a script may do
    script         the language, and playing a script
    library        the stories that come with the launcher (`stories/`)
"""
