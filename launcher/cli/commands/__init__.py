"""The commands, a module for each topic.

    lifecycle    up, down, start, stop, restart, snapshot
    looking      ps, log, wait, config
    timeline     timeline
    membership   add, remove, rebuild, recover, transfer
    faults       kill, pause, resume, partition, heal, disk, throttle, freeze, thaw
    links        link
    points       arm
    clocks       clock
    steering     set, drop, time-out
    entries      submit, read, watch
    interactive  repl, completion
    learning     explain, why
    lesson       lesson
    story        story
    simulate     simulate
    bench        bench, whose rows are in bench_pair (this cluster beside another program) and
                 bench_one (one cluster measured by itself); bench_rows has what they share

A module imports `launcher.cli.rows` and what its commands print with; none imports another topic,
the table (`launcher/cli/table.py`, which names them all), the shell or the prompt. Help and
completion load all of these modules, so what takes long to import is imported where it is used.
"""
