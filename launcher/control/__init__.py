"""What an operator's command and the supervisor say to each other, and the words for it.

Both ends use these modules: a command, to ask; the supervisor, to understand and to reply.

    requests     the control socket: each request and each reply
    calling      sends one request, and waits for the reply
    asking       asks the supervisor of a data folder, and notices when it cannot reply
    spec         what a launcher tells the supervisor that it starts, and the one reply to that
    targets      TARGET and SPEC: the words by which a command chooses nodes (pure)
    naming       what nodes and links are called (pure)
    disks, clocks, links, partitions, points, throttles, killing
                 the words for each kind of fault (pure)
    steering     the words of `set` and `drop` (pure)
    status       the state of a cluster and of its nodes: what `ps` shows
    readiness    waits until a cluster serves, and says what is wrong with it
    divergence   which machines have given other answers than the rest, and since which entry (pure)

It may import the launcher's config, errors and folders, and of `node` the wire, the faults, the
core and the parser of durations. It imports neither the supervisor nor the client.
"""
