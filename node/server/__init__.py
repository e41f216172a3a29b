"""One node's logic, put in order: Raft's core, the log on disk, the state machine, the clients.

    server          what comes in, and what follows of it
    recovery        how a server begins: it opens its data, and tells what it found
    write           what is made durable at once
    requests        which requests of clients are legal
    clients         the clients that wait for answers
    applying        applies what is committed to the machine
    answering       answers queries
    stretch         how much is done before others get their turn
    settings        bounds of the server that no file sets
    snapshots       takes, sends, receives and restores snapshots
    machine_watch   how long the machine takes
    status          what the node says of itself

It touches no socket, thread or clock: what it needs of the world are the ports of `node/ports.py`.
It may import the core, storage, machines and the wire.
"""
