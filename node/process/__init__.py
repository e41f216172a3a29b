"""A node's process: everything that a server needs of the operating system.

    process       the body of the process, from its start to its exit status
    node          the running node: hands what comes in to the server, and sends what that says
    reports       what the node tells its supervisor
    orders        carries out what the supervisor orders: faults, settings, elections, snapshots
    clock_port    the clocks and the one timer of the server
    fault_ports   links, disk, clocks and points, at which the faults of an operator are in force
    points        the armed points, and what strikes there
    peers         the links to peers, and how a lost one comes back
    connections   the clients that are connected, and who is hung up on
    transport     streams of frames over pipes and sockets
    arriving      how long a frame between nodes may take to arrive
    disk_thread   the thread that writes the log
    fork          work in a forked copy of the process: snapshots
    descriptors   how many files may be open
    signals       what the process does with signals

It may import all of `node`, and nothing of the launcher.
"""
