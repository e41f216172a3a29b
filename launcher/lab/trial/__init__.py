"""`launcher test`: a cluster of its own, a workload, faults by seed, and the verdict.

circumstances   what the seed decides of the cluster (pure)
asked           what a user asks for, checked
keeping         copies of what nodes wrote, also of what they drop
alarm           whether the supervisor has found a broken promise
running         the course of a run, from its folder to the copy of all evidence
plots           latency and rate over time, with the faults (needs matplotlib)
"""
