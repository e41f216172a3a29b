"""The tap: a record of every message of a node, and of what became of it.

The fields of a message, as events have them, are made in one place, for real nodes and for the
simulated world. What a real node writes are compact binary records in memory-mapped files. They are
turned into events by whoever reads them (`launcher/evidence/messages/`), so a node pays little. The
modules, in reading order:

    fields      a message as the flat fields of an event
    format      the bytes of a file
    segment     the files: one that is written, and older ones
    writer      what a running node calls
"""
