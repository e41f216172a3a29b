"""Stories on real processes: `launcher story NAME --real`.

Some words of the language (`launcher/simulation/stage/script.py`) make sense on real processes too.
A story is played on a cluster of its own in a temporary folder, by the Python API that users have.

    words     the words that make sense, and which stories can be played
    servers   the servers of a story: a cluster, and what the words do with it
    play      plays a story, line by line

Messages and disks cannot be moved by hand here, so what the words cause takes its time. Each
expectation is waited for, up to a bound; nothing sleeps for a fixed time.
"""
