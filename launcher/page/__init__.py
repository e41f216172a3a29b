"""The page: a cluster in a browser, live, recorded or simulated, to be broken with the mouse.

The picture itself is a fold of events, in `static/fold.js`: the same code whether the events come
from a cluster that runs, from its logs, or from a trace of the simulated world. The modules, in
reading order:

    events      an event in the form that the page takes
    recorded    all events of a run or a trace, bounded, with what was left out
    staged      a story on simulated cores, as such events
    causes      why something happened, as a tree
    modules     the static files: which module imports which, and all of them as one text
    file        one self-contained HTML file of a recorded run
    status      a live cluster's status, in the form that the fold takes
    feed        the events of a live cluster, as they come, for any number of readers
    doing       which commands the page may run
    teaching    a lesson in the page
    metrics     the status for Prometheus
    guard       who may ask the server for anything
    app         the server's routes
    serving     an address, and the server behind it

To look at what was recorded, nothing of a cluster is needed, and for a file no server either.
"""
