"""Benchmarks: what runs beside what, in turn in one run, and how the two compare.

`launcher/cli/commands/bench.py` is the door. Nothing here is needed to run a cluster.
"""
