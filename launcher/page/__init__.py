"""The page: a cluster in a browser, live, recorded or simulated, to be broken with the mouse.

The picture itself is a fold of events, in `static/fold.js`: the same code whether the events come
from a cluster that runs, from its logs, or from a trace of the simulated world. The modules, in
reading order:

    events      an event in the form that the page takes
    recorded    all events of a run or a trace, bounded, with what was left out
    modules     the static files: which module imports which, and all of them as one text
    causes      why something happened, as a tree
    file        one self-contained HTML file of a recorded run

It imports only the log readers; nothing of a cluster is needed to look at what was recorded.
"""
