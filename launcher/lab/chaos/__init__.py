"""Chaos: a running cluster is broken by a schedule, and never more than it is said to survive.

    kinds.py      what each kind of fault is on real processes: its targets, its length, its words
    schedule.py   which fault happens when: a pure function of the seed, and a file of it
    budget.py     does a majority remain? Pure
    aiming.py     which nodes and links a fault strikes now, and what that takes away. Pure
    watching.py   ten times a second: how is the cluster? And was the budget kept?
    handing_over.py  handovers that go wrong, and that come at a bad time
    leading.py    changes of the membership, which wait for a leader
    striking.py   begins and ends each kind of fault on a cluster
    player.py     plays a schedule, asks the budget, heals, and waits for convergence
    course.py     what the player and the faults that are in force have in common
    healing.py    ends everything, starts what was stopped, and waits until all is well
    record.py     what happened, as lines for people and for programs
    running.py    `launcher.Chaos`, for scripts

Each imports only those above it, `kinds` and `budget` nothing of this wing.
"""
