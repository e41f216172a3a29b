"""The lab: load a running cluster, break it by seed, and judge what it did.

Its rooms: `chaos/` breaks a running cluster by a schedule that a seed decides, within a budget.
"""
