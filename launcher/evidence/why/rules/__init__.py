"""The rules: what caused an event, for each kind of event.

Order is not cause. A rule names what an event rests on by the protocol, and nothing else that
happened just before. The modules, in reading order:

    silence      why one node heard nothing from another
    elections    who asked for votes and why; who gave them; lost attempts
    refusals     votes that were given or refused, and logs that were behind
    leadership   stepping down, later terms, handovers
    logs         tails that were removed, snapshots in place of entries
    entries      one entry: committed when, and delayed by what; a node that does not catch up
    nodes        processes that end and start; faults
    reads        a read that was answered with an old value
    violations   what must never happen, and which leaders took part in it
    sending      why a message was sent, and what became of it
    table        the table of all of them
"""
