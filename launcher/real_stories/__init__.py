"""Stories on real processes: `launcher story NAME --real`.

Some words of the language (`launcher/simulation/stage/script.py`) make sense on real processes too.
`words.py` has them, and says which stories can be played; `play.py` plays one on a cluster of its
own in a temporary folder, by the Python API that users have.

Messages and disks cannot be moved by hand here, so what the words cause takes its time. Each
expectation is waited for, up to a bound; nothing sleeps for a fixed time.
"""
