"""The client of a cluster: it submits entries, each applied once, and asks queries.

It talks to the nodes themselves; the supervisor takes no part. Begin with `client`.

    client          submits entries in order, sends again what was not answered, and reads
    here            sends one request to one node, once
    session         sequence numbers and answers of one session (pure)
    route           finds the leader and stays with it: which node to ask next (pure)
    channel         the connections of one conversation, and the waiting for replies
    sockets         where the members listen, as the membership is now
    intake          reads entries from slow input, as fast as they are answered
    answers         the answer to an entry or to a query, as the user gets it
    unanswered      the entries that were not answered in time, and how to send them again
    shared_client   the one client that all threads of a program share
    subscriber      follows the messages of a `multicast` cluster

It may import the launcher's config, control, errors and folders, its rules for forks and standard
streams, and of `node` the wire, the machines and the core.
"""
