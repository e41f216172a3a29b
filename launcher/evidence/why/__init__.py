"""Why something happened: its causes across nodes, as a tree of sentences.

It works on events alone (`launcher/timeline/events.py`): those of event logs, of taps, and of the
traces of the simulated world are the same. It reads no clock and no file. In reading order:

    things      happenings and messages
    past        what happened before, indexed, within a bounded memory
    cause       one cause, and the sentence that states it
    faults      which fault cut a link or ended a process, and whether it was in force
    rules/      the table: for each kind of event what names its causes
    tree        causes under what they caused, as lines and as JSON
    operation   what became of an operation of a client
    asked       what a user may ask about, and where it is
    explaining  all of it in one call
    between     what leads from one event to another
    spacetime   a column for each node, arrows for messages
    diagram     that as text
    svg         that as a picture

Order is not cause: only rules name causes. A kind of event without a rule falls back to what came
before it, and the text says so. What is not done: causes inside the machine of a user, and those of
clients' requests beyond the entry that they became.
"""

from launcher.evidence.why.asked import Asked, Found, cause_of, find, parse
from launcher.evidence.why.explaining import explain, explain_first_lines
from launcher.evidence.why.past import Past, collect
from launcher.evidence.why.tree import Branch, grow, lines, notes, to_json

__all__ = [
    "Asked",
    "Branch",
    "Found",
    "Past",
    "cause_of",
    "collect",
    "explain",
    "explain_first_lines",
    "find",
    "grow",
    "lines",
    "notes",
    "parse",
    "to_json",
]
