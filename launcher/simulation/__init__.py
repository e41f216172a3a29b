"""Simulated clusters: the product's own servers in one thread and in simulated time, by seed.

`world.py` is one run. `stage/` is a smaller stage: cores alone, moved by hand or by a script.
"""
