"""The verdict: was the system right in a run? By the run's folder alone, whoever is still running.

    judge           puts a verdict together
    finding         what one check has found; a verdict
    replay          the nodes' logs written again, record by record (pure)
    written         what the nodes wrote into their logs, from copies of the files
    seen            what the nodes and the supervisor have told in their event logs
    chain           the committed log, put together from all nodes (pure)
    figure3         the properties of Figure 3 (pure)
    exactly_once    each acknowledged command is in the committed log once (pure)
    situations      the situations that a run has reached, of twelve that have a name (pure)
    operations      an operation of a client on one line
    telling         a verdict as lines

A verdict is *invalid* if any check has found a violation, *unknown* if any check cannot tell, and
else *valid*. Nothing that is missing makes a run valid: each check says what it could not see.
"""
