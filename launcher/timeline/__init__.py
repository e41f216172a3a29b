"""Every node's events, in one order.

Every process of a cluster writes its events into a log of its own. The supervisor merges the logs
into one file, the timeline; `launcher timeline` and a cluster in the foreground read it. The
modules, in reading order:

    events       an event: one line of an event log
    order        the order of all events, and the check that nodes have applied the same entries
    filter       which events a reader wants to see
    fault_sentences  the rows of that table for faults
    templates    the table of what each event says in words
    sentences    an event in words
    render       one line of text for an event
    logfiles     an event log on disk: its files, read forwards or by bisection
    tail         a log that is being written: what is new in it
    sorted_log   a log in the order of the timeline: whether and where it holds an event
    files        the names of a timeline's files
    output       a file of whole lines that is appended to
    combiner     the supervisor's side: merges the event logs into the timeline
    trace_file   the trace of a simulated run, which is a file of events
    reading      the readers' side: all of the timeline, or as it grows

It may import `node.events`, which writes the logs, and of the launcher its config and errors.
"""
